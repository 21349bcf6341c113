// Types of the package; index.d.mts repeats them for `import`. Names of answers' fields are the API's own.

/** An object of the API. */
export interface JSONObject {
  [key: string]: any;
}

export interface ClientOptions {
  /** Where the API is; without it the environment's DIFY_BASE_URL counts, else a server on this machine. */
  baseUrl?: string;
  /** The app that a workspace key is used for. */
  appId?: string;
  /** How long an answer may take: 300,000. */
  timeoutMs?: number;
  /** How long a stream may be silent: 60,000. Servers ping at least every 10 seconds. */
  idleTimeoutMs?: number;
  /** How often a call is sent again: 2. */
  maxRetries?: number;
  /** How long to wait before the first of these where the server does not say: 500. */
  backoffMs?: number;
  /** A server that asks to wait for longer is not waited for: 60,000. */
  maxWaitMs?: number;
  /** How often one stream is read on after it broke: 5. */
  maxResumes?: number;
  /** In place of the global fetch. */
  fetch?: typeof globalThis.fetch;
}

export type FileInput = JSONObject & {
  type?: "image" | "document" | "audio" | "video" | "custom";
  transfer_method: "local_file" | "remote_url";
  upload_file_id?: string;
  url?: string;
};

export interface ChatMessage {
  query: string;
  user: string;
  conversationId?: string | null;
  inputs?: JSONObject;
  files?: FileInput[];
  autoGenerateName?: boolean;
  onDisconnect?: "continue" | "cancel";
  [field: string]: any;
}

export interface CompletionMessage {
  user: string;
  inputs?: JSONObject;
  query?: string;
  files?: FileInput[];
  onDisconnect?: "continue" | "cancel";
  [field: string]: any;
}

export interface WorkflowRun {
  inputs: JSONObject;
  user: string;
  files?: FileInput[];
  workflowId?: string;
  onDisconnect?: "continue" | "cancel";
  [field: string]: any;
}

/** One event of a run, as it came. */
export interface Chunk {
  event: string;
  task_id?: string;
  message_id?: string;
  conversation_id?: string;
  workflow_run_id?: string | null;
  [key: string]: any;
}

export interface MessageChunk extends Chunk {
  answer: string;
}

export interface MessageEndChunk extends Chunk {
  metadata: JSONObject & { usage: JSONObject; retriever_resources?: JSONObject[] };
}

/** The next piece of the answer read aloud: MP3 in base64, cut anywhere; empty where it ends. */
export interface SoundChunk extends Chunk {
  audio: string;
}

export interface StreamListeners {
  message: (chunk: MessageChunk) => void;
  agentMessage: (chunk: MessageChunk) => void;
  messageReplace: (chunk: MessageChunk) => void;
  messageEnd: (chunk: MessageEndChunk) => void;
  ttsMessage: (chunk: SoundChunk) => void;
  ttsMessageEnd: (chunk: SoundChunk) => void;
  /** Every event. */
  event: (chunk: Chunk) => void;
  error: (error: Error) => void;
  end: () => void;
}

/** The events of a run; read them with `for await`, or with listeners. */
export class DifyStream implements AsyncIterable<Chunk> {
  private constructor();
  readonly taskId: string;
  readonly lastEventId: number | null;
  on<Name extends keyof StreamListeners>(name: Name, listener: StreamListeners[Name]): this;
  on(name: string, listener: (chunk: Chunk) => void): this;
  once<Name extends keyof StreamListeners>(name: Name, listener: StreamListeners[Name]): this;
  once(name: string, listener: (chunk: Chunk) => void): this;
  off(name: string, listener: (...values: any[]) => void): this;
  /** Read no more; the run goes on. */
  close(): void;
  [Symbol.asyncIterator](): AsyncIterator<Chunk>;
}

export interface UserOnly {
  user: string;
}

export interface Joining {
  user: string;
  /** The number of the last event that came; without it the run is read from its first. */
  after?: number;
}

export interface Upload {
  file: Blob | Uint8Array | ArrayBuffer;
  /** Tells the kind; needed where the file has none. */
  name?: string;
}

export interface Chat {
  create(message: ChatMessage): Promise<JSONObject>;
  createStream(message: ChatMessage): Promise<DifyStream>;
  events(taskId: string, options: Joining): Promise<DifyStream>;
  stop(taskId: string, options: UserOnly): Promise<JSONObject>;
}

export interface Completion {
  create(message: CompletionMessage): Promise<JSONObject>;
  createStream(message: CompletionMessage): Promise<DifyStream>;
  events(taskId: string, options: Joining): Promise<DifyStream>;
  stop(taskId: string, options: UserOnly): Promise<JSONObject>;
}

export interface Workflows {
  run(run: WorkflowRun & { responseMode: "streaming" }): Promise<DifyStream>;
  run(run: WorkflowRun & { responseMode?: "blocking" }): Promise<JSONObject>;
  runStream(run: WorkflowRun): Promise<DifyStream>;
  events(runId: string, options: Joining & { continueOnPause?: boolean }): Promise<DifyStream>;
  get(runId: string): Promise<JSONObject>;
  stop(taskId: string, options: UserOnly): Promise<JSONObject>;
  logs(filters?: JSONObject): Promise<JSONObject>;
}

export interface Conversations {
  list(query: { user: string; lastId?: string; limit?: number; sortBy?: string }): Promise<JSONObject>;
  messages(
    conversationId: string,
    query: { user: string; firstId?: string; limit?: number },
  ): Promise<JSONObject>;
  rename(
    conversationId: string,
    fields: { user: string; name?: string; autoGenerate?: boolean },
  ): Promise<JSONObject>;
  delete(conversationId: string, options: UserOnly): Promise<JSONObject>;
  variables(
    conversationId: string,
    query: { user: string; variableName?: string; lastId?: string; limit?: number },
  ): Promise<JSONObject>;
  setVariable(
    conversationId: string,
    variableId: string,
    fields: { value: any; user: string },
  ): Promise<JSONObject>;
}

export interface Messages {
  list(query: {
    conversationId: string;
    user: string;
    firstId?: string;
    limit?: number;
  }): Promise<JSONObject>;
  feedback(
    messageId: string,
    fields: { rating: "like" | "dislike" | null; user: string; content?: string },
  ): Promise<JSONObject>;
  suggested(messageId: string, query: UserOnly): Promise<JSONObject>;
}

export interface Files {
  upload(fields: Upload & UserOnly): Promise<JSONObject>;
  preview(fileId: string, query: { user: string; asAttachment?: boolean }): Promise<Uint8Array>;
}

export interface Audio {
  toText(fields: Upload & { user?: string }): Promise<JSONObject>;
  speak(fields: { user: string; text?: string; messageId?: string; voice?: string }): Promise<Uint8Array>;
}

export interface App {
  info(): Promise<JSONObject>;
  parameters(): Promise<JSONObject>;
  meta(): Promise<JSONObject>;
  site(): Promise<JSONObject>;
}

export interface Documents {
  createByText(
    datasetId: string,
    fields: { name: string; text: string } & JSONObject,
  ): Promise<JSONObject>;
  createByFile(
    datasetId: string,
    fields: { file: Upload["file"]; fileName?: string } & JSONObject,
  ): Promise<JSONObject>;
  updateByText(
    datasetId: string,
    documentId: string,
    fields: { name: string; text: string } & JSONObject,
  ): Promise<JSONObject>;
  updateByFile(
    datasetId: string,
    documentId: string,
    fields: { file: Upload["file"]; fileName?: string } & JSONObject,
  ): Promise<JSONObject>;
  list(datasetId: string, query?: JSONObject): Promise<JSONObject>;
  get(datasetId: string, documentId: string): Promise<JSONObject>;
  indexingStatus(datasetId: string, batch: string): Promise<JSONObject>;
  setStatus(
    datasetId: string,
    action: "enable" | "disable" | "archive" | "un_archive",
    fields: { documentIds: string[] },
  ): Promise<JSONObject>;
  delete(datasetId: string, documentId: string): Promise<JSONObject>;
}

export interface Segments {
  create(datasetId: string, documentId: string, fields: { segments: JSONObject[] }): Promise<JSONObject>;
  list(datasetId: string, documentId: string, query?: JSONObject): Promise<JSONObject>;
  get(datasetId: string, documentId: string, segmentId: string): Promise<JSONObject>;
  update(
    datasetId: string,
    documentId: string,
    segmentId: string,
    fields: JSONObject,
  ): Promise<JSONObject>;
  delete(datasetId: string, documentId: string, segmentId: string): Promise<JSONObject>;
}

export interface Datasets {
  readonly documents: Documents;
  readonly segments: Segments;
  list(query?: JSONObject): Promise<JSONObject>;
  create(fields: { name: string } & JSONObject): Promise<JSONObject>;
  get(datasetId: string): Promise<JSONObject>;
  update(datasetId: string, fields: JSONObject): Promise<JSONObject>;
  delete(datasetId: string): Promise<JSONObject>;
  retrieve(datasetId: string, fields: { query: string; retrievalModel?: JSONObject }): Promise<JSONObject>;
}

export class DifyClient {
  constructor(apiKey: string, options?: ClientOptions);
  readonly app: App;
  readonly audio: Audio;
  readonly chat: Chat;
  readonly completion: Completion;
  readonly conversations: Conversations;
  readonly datasets: Datasets;
  readonly files: Files;
  readonly messages: Messages;
  readonly workflows: Workflows;
}

/** Anything that this package throws by itself, but a TypeError for what cannot be sent. */
export class DifyError extends Error {}
/** No answer came. */
export class APIConnectionError extends DifyError {}
/** No answer came within the time. */
export class APITimeoutError extends APIConnectionError {}
/** A stream broke before its end and could not be read on; the run itself may well have ended. */
export class StreamInterruptedError extends APIConnectionError {}
/** What answered does not speak this API; the base URL may be wrong. */
export class InvalidAnswerError extends DifyError {}
/** The server refused or failed. Branch on `code`; `message` is for people. */
export class APIError extends DifyError {
  readonly status: number;
  readonly code: string;
  readonly details: any;
  readonly requestId: string | null;
  readonly retryAfterMs: number | null;
}
/** 400 and every other 4xx. */
export class BadRequestError extends APIError {}
/** The app's model cannot be asked, or does not answer. */
export class ModelError extends BadRequestError {}
/** 401 */
export class AuthenticationError extends BadRequestError {}
/** 403 */
export class PermissionDeniedError extends BadRequestError {}
/** 404 */
export class NotFoundError extends BadRequestError {}
/** 409 */
export class ConflictError extends BadRequestError {}
/** 429 */
export class RateLimitError extends BadRequestError {}
/** 5xx */
export class ServerError extends APIError {}
