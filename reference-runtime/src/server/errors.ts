// Errors of the HTTP surface, in OpenAI's shape, all in one place.

/** Which stage of a request refused: a label of metrics, so a closed set; the fleet's registry has the same. */
export const STAGES = ['request', 'identity', 'quota', 'model', 'policy', 'admission', 'engine', 'server', 'client'] as const;
export type Stage = (typeof STAGES)[number];

/** A refusal with its HTTP status. `code` is stable; `stage` says which stage of the request refused. */
export class HttpError extends Error {
  readonly status: number;
  readonly type: string;
  readonly code: string;
  readonly param: string | null;
  readonly stage: Stage;
  readonly retryAfter: number | undefined;

  constructor(
    status: number,
    options: { type: string; code: string; message: string; param?: string; stage: Stage; retryAfter?: number },
  ) {
    super(options.message);
    this.status = status;
    this.type = options.type;
    this.code = options.code;
    this.param = options.param ?? null;
    this.stage = options.stage;
    this.retryAfter = options.retryAfter;
  }
}

/** The body OpenAI's clients expect. */
export function errorBody(error: HttpError): object {
  return { error: { message: error.message, type: error.type, param: error.param, code: error.code } };
}

export function badRequest(message: string, param?: string, code = 'invalid_value', stage: Stage = 'request'): HttpError {
  return new HttpError(400, {
    type: 'invalid_request_error',
    code,
    message,
    stage,
    ...(param === undefined ? {} : { param }),
  });
}

export function unauthorized(message: string): HttpError {
  return new HttpError(401, { type: 'authentication_error', code: 'invalid_token', message, stage: 'identity' });
}

export function forbidden(code: string, message: string, stage: Stage): HttpError {
  return new HttpError(403, { type: 'permission_error', code, message, stage });
}

export function notFound(message: string, code = 'not_found', param?: string): HttpError {
  return new HttpError(404, {
    type: 'invalid_request_error',
    code,
    message,
    stage: 'request',
    ...(param === undefined ? {} : { param }),
  });
}

export function tooMany(code: string, message: string, stage: Stage, retryAfter: number): HttpError {
  return new HttpError(429, { type: 'rate_limit_error', code, message, stage, retryAfter });
}

export function unavailable(code: string, message: string, stage: Stage, retryAfter = 1): HttpError {
  return new HttpError(503, { type: 'service_unavailable', code, message, stage, retryAfter });
}

export function methodNotAllowed(message: string): HttpError {
  return new HttpError(405, { type: 'invalid_request_error', code: 'method_not_allowed', message, stage: 'request' });
}

/** A drain that was over before this request was. */
export function cutShort(): HttpError {
  return unavailable('draining', 'this runtime is shutting down and could not wait for the end of this answer', 'server');
}

export function deadline(message: string, stage: Stage): HttpError {
  return new HttpError(504, { type: 'timeout_error', code: 'deadline_exceeded', message, stage });
}

export function policyFailure(message: string): HttpError {
  return new HttpError(500, { type: 'server_error', code: 'policy_error', message, stage: 'policy' });
}

export function internal(): HttpError {
  return new HttpError(500, {
    type: 'server_error',
    code: 'internal_error',
    message: 'the runtime failed to answer this request; the log has the details',
    stage: 'server',
  });
}

/** A client that keeps its connection and reads nothing. */
export class SlowReader extends HttpError {
  constructor(stallMs: number) {
    super(499, {
      type: 'client_closed_request',
      code: 'slow_reader',
      message: `the client read nothing for ${stallMs} ms, or not before the deadline; the connection was closed`,
      stage: 'client',
    });
  }
}

/** The client went away: nobody reads this answer, telemetry does (status 499 as nginx has it). */
export function clientClosed(): HttpError {
  return new HttpError(499, {
    type: 'client_closed_request',
    code: 'client_closed_request',
    message: 'the client closed the connection',
    stage: 'client',
  });
}
