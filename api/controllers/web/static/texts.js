/** What the page says, in the language of the site; English where it speaks no other. */
const TEXTS = {
  en: {
    send: "Send", stop: "Stop", attach: "Attach files", newChat: "New conversation", more: "More",
    menu: "Conversations", remove: "Delete", ask: "Message", run: "Run", like: "Good answer", dislike: "Bad answer",
    sources: "Sources", steps: "Steps", failed: "Something went wrong. Please try again.",
    offline: "The server cannot be reached.", waits: "This run waits for a person to answer.",
    sure: "Delete this conversation?", privacy: "Privacy policy", stopped: "Stopped.", uploading: "Uploading…",
    choose: "Choose…", required: "Please fill in what is marked with *.",
    invitation: "Invitation", invitationOver: "This invitation is no longer good; ask for another one.",
    invited: "you are invited. If you have an account already, it joins and stays as it is.",
    name: "Your name", password: "Password (at least 8 characters, a letter and a digit among them)",
    join: "Join", joined: "You are in. Sign in with your e-mail and password.",
    asked: "An answer is needed", answered: "Thank you. Your answer is on its way.",
  },
  zh: {
    send: "发送", stop: "停止", attach: "添加文件", newChat: "新对话", more: "更多",
    menu: "对话列表", remove: "删除", ask: "输入消息", run: "运行", like: "回答有用", dislike: "回答无用",
    sources: "引用", steps: "步骤", failed: "出错了，请重试。",
    offline: "无法连接服务器。", waits: "此运行正在等待人工处理。",
    sure: "删除此对话？", privacy: "隐私政策", stopped: "已停止。", uploading: "上传中…",
    choose: "请选择…", required: "请填写带 * 的内容。",
    invitation: "邀请", invitationOver: "此邀请已失效，请重新获取。",
    invited: "您已受邀加入。如果您已有账号，将直接加入，账号信息不变。",
    name: "您的姓名", password: "密码（至少 8 个字符，须包含字母和数字）",
    join: "加入", joined: "您已加入，请使用邮箱和密码登录。",
    asked: "需要您的答复", answered: "谢谢，您的答复已提交。",
  },
};
let chosen = TEXTS.en;

export function setLanguage(language) {
  const primary = String(language || "en").split("-")[0].toLowerCase();
  chosen = TEXTS[primary] || TEXTS.en;
  document.documentElement.lang = TEXTS[primary] ? language : "en";
}

export const say = (name) => chosen[name];
