// What a call can end in; the tree is that of the Python SDK.
"use strict";

const MODEL_CODES = new Set([
  "provider_not_initialize",
  "provider_quota_exceeded",
  "model_currently_not_support",
  "completion_request_error",
]);

class DifyError extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = new.target.name;
  }
}

class APIConnectionError extends DifyError {}
class APITimeoutError extends APIConnectionError {}
class StreamInterruptedError extends APIConnectionError {}
class InvalidAnswerError extends DifyError {}

class APIError extends DifyError {
  constructor(told, status, { requestId = null, retryAfterMs = null } = {}) {
    const code = String(told.code || "unknown");
    const message = String(told.message || `The server answered with status ${status}.`);
    super(`${message} (${status} ${code})`);
    this.status = status;
    this.code = code;
    this.details = told.details ?? null;
    this.requestId = requestId;
    this.retryAfterMs = retryAfterMs;
  }
}

class BadRequestError extends APIError {}
class ModelError extends BadRequestError {}
class AuthenticationError extends BadRequestError {}
class PermissionDeniedError extends BadRequestError {}
class NotFoundError extends BadRequestError {}
class ConflictError extends BadRequestError {}
class RateLimitError extends BadRequestError {}
class ServerError extends APIError {}

const BY_STATUS = new Map([
  [401, AuthenticationError],
  [403, PermissionDeniedError],
  [404, NotFoundError],
  [409, ConflictError],
  [429, RateLimitError],
]);

/** Return the error that an answer, or an error event, tells of; the code counts more than the status. */
function toError(told, status, more) {
  if (MODEL_CODES.has(told.code)) return new ModelError(told, status, more);
  const known = BY_STATUS.get(status) ?? (status >= 500 ? ServerError : BadRequestError);
  return new known(told, status, more);
}

module.exports = {
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
  toError,
};
