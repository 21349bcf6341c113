"""What a program does with PyPI's dify-client: run apart, with that package and nothing of ours in its path.

Arguments: address of the API, key of a chat app, key of a completion app. What came of it is printed as JSON.
"""

import json
import sys
from importlib import import_module
from typing import Any

dify_client: Any = import_module("dify_client")
USER = "ann"


def read_stream(answer: Any) -> str:
    """Put a streamed answer together, as the package's own page shows it."""
    answer.raise_for_status()
    text = ""
    for raw in answer.iter_lines(decode_unicode=True):
        line = raw.split("data:", 1)[-1]
        if line.strip():
            text += json.loads(line.strip()).get("answer", "")
    return text


def use_chat(chat: Any) -> dict[str, Any]:
    """Use everything the package has for chat apps."""
    parameters = chat.get_application_parameters(user=USER)
    uploaded = chat.file_upload(USER, {"file": ("a.txt", b"hello", "text/plain")})
    said = chat.create_chat_message(inputs={}, query="Hi", user=USER).json()
    talk = said["conversation_id"]
    streamed = chat.create_chat_message({}, "Hi", USER, response_mode="streaming", conversation_id=talk)
    answer = read_stream(streamed)
    liked = chat.message_feedback(said["message_id"], "like", USER)
    renamed = chat.rename_conversation(talk, "Greeting", USER)
    history = chat.get_conversation_messages(USER, conversation_id=talk, limit=20).json()
    listed = chat.get_conversations(USER).json()
    unknown = chat.create_chat_message({}, "Hi", USER, conversation_id="0d5f3c0e-8f3a-4c55-9d0e-6c1f6b1e2a77")
    return {
        "opening": parameters.json()["opening_statement"],
        "uploaded": [uploaded.status_code, uploaded.json()["name"]],
        "answers": [said["answer"], answer],
        "liked": liked.json(),
        "renamed": renamed.json()["name"],
        "history": [[turn["query"], turn["answer"], turn["feedback"]] for turn in history["data"]],
        "listed": [item["name"] for item in listed["data"]],
        "refused": [unknown.status_code, unknown.json()["code"]],
    }


def main() -> None:
    """Use both kinds of clients."""
    base_url, chat_key, completion_key = sys.argv[1:]
    chat = dify_client.ChatClient(chat_key)
    completion = dify_client.CompletionClient(completion_key)
    chat.base_url = completion.base_url = base_url
    found = use_chat(chat)
    whole = completion.create_completion_message({"query": "Hi"}, "blocking", USER).json()
    streamed = completion.create_completion_message({"query": "Hi"}, "streaming", USER)
    found["completions"] = [whole["answer"], read_stream(streamed)]
    print(json.dumps(found))  # noqa: T201  # read by the test


if __name__ == "__main__":
    main()
