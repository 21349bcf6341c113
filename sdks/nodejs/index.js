// Talks to Slipway, and to whatever else speaks Dify's service API. index.mjs is the same for `import`.
"use strict";

const { DifyClient } = require("./lib/client.js");
const { DifyStream } = require("./lib/stream.js");
const errors = require("./lib/errors.js");

module.exports = {
  DifyClient,
  DifyStream,
  DifyError: errors.DifyError,
  APIConnectionError: errors.APIConnectionError,
  APITimeoutError: errors.APITimeoutError,
  StreamInterruptedError: errors.StreamInterruptedError,
  InvalidAnswerError: errors.InvalidAnswerError,
  APIError: errors.APIError,
  BadRequestError: errors.BadRequestError,
  ModelError: errors.ModelError,
  AuthenticationError: errors.AuthenticationError,
  PermissionDeniedError: errors.PermissionDeniedError,
  NotFoundError: errors.NotFoundError,
  ConflictError: errors.ConflictError,
  RateLimitError: errors.RateLimitError,
  ServerError: errors.ServerError,
};
