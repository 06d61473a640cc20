// What is read of a connection before a route sees it: bodies, and requests that are no HTTP.
import { isUtf8 } from 'node:buffer';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { messageOf } from '../../../src/core/errors.ts';
import { errorBody, HttpError } from './errors.ts';

/** A body that cannot be read. */
export function invalidBody(status: number, message: string): HttpError {
  return new HttpError(status, { type: 'invalid_request_error', code: 'invalid_body', message, stage: 'request' });
}

/** JSON in UTF-8 (RFC 8259, section 8.1) and nothing else: text in another encoding would reach the model as other text. */
export function readJson(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body: Buffer, done) => {
    const encoding = request.headers['content-encoding'];
    if (encoding !== undefined && encoding !== 'identity')
      return done(invalidBody(415, `content-encoding ${encoding.slice(0, 40)} is not supported: send the body as it is`));
    if (body.length === 0) return done(invalidBody(400, 'the body is empty; expected a JSON object'));
    if (!isUtf8(body)) return done(invalidBody(400, 'the body is not valid UTF-8'));
    try {
      const text = body.toString('utf8');
      done(null, JSON.parse(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text));
    } catch (error) {
      // The parser's message names the place; its excerpt of the body is short.
      done(invalidBody(400, `the body is not valid JSON: ${messageOf(error)}`));
    }
  });
}

const CLIENT_ERRORS: Record<string, [number, string, string]> = {
  HPE_HEADER_OVERFLOW: [431, 'Request Header Fields Too Large', 'the headers are larger than this server reads'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'Request Timeout', 'the request did not arrive in time'],
};

/** Answers what is no HTTP request, and ends the connection. @param refused told of each that is answered */
export function answerClientError(error: Error & { code?: string }, socket: Socket, refused: (failure: HttpError) => void): void {
  // Behind an answer that has begun nothing can be said; `_httpMessage` is what Node's documentation of `clientError` names for it.
  const { _httpMessage: answer } = socket as Socket & { _httpMessage?: { headersSent: boolean } };
  if (error.code === 'ECONNRESET' || !socket.writable || answer?.headersSent === true) {
    socket.destroy();
    return;
  }
  const [status, phrase, message] = CLIENT_ERRORS[error.code ?? ''] ?? [400, 'Bad Request', 'this is not a valid HTTP request'];
  const failure = invalidBody(status, message);
  refused(failure);
  const body = JSON.stringify(errorBody(failure));
  socket.end(
    `HTTP/1.1 ${status} ${phrase}\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}
