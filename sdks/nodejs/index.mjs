// One implementation for both kinds of modules, so that `instanceof` holds whichever one a program uses.
import sdk from "./index.js";

export const {
  DifyClient,
  DifyStream,
  DifyError,
  APIConnectionError,
  APITimeoutError,
  StreamInterruptedError,
  InvalidAnswerError,
  APIError,
  BadRequestError,
  ModelError,
  AuthenticationError,
  PermissionDeniedError,
  NotFoundError,
  ConflictError,
  RateLimitError,
  ServerError,
} = sdk;
