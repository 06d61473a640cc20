// The server's own certificate, rotated without a restart, and what a client's certificate says about the client.
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Server } from 'node:https';
import type { Socket } from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';
import { ConfigurationError } from '../config/load.ts';
import type { TlsConfig } from '../config/types.ts';
import { messageOf } from '../error-message.ts';

interface Material {
  cert: string;
  key: string;
  ca?: string;
}

/** Certificate, key and the authorities of clients, read from files and read again when they change. */
export class ServerCertificate {
  readonly #config: TlsConfig;
  #material: Material;
  #expires: Date;

  /** @throws ConfigurationError when the files are not a certificate and its key */
  constructor(config: TlsConfig) {
    this.#config = config;
    [this.#material, this.#expires] = read(config);
  }

  /** Options of `https.createServer`. A client without a certificate is let in: probes have none, and identity refuses it. */
  get options(): Material & { requestCert: boolean; rejectUnauthorized: boolean; minVersion: 'TLSv1.2' } {
    return {
      ...this.#material,
      requestCert: this.#config.clientCa !== undefined,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.2',
    };
  }

  /** When the certificate stops being valid. */
  get expires(): Date {
    return this.#expires;
  }

  /**
   * Takes changed files into use for new connections; true when it did. @throws ConfigurationError when they are no good: the server
   * then goes on with what it has
   */
  refresh(server: Server): boolean {
    const [material, expires] = read(this.#config);
    if (JSON.stringify(material) === JSON.stringify(this.#material)) return false;
    server.setSecureContext(material);
    this.#material = material;
    this.#expires = expires;
    return true;
  }
}

function read({ cert, key, clientCa }: TlsConfig): [Material, Date] {
  const file = (path: string): string => {
    try {
      return readFileSync(path, 'utf8');
    } catch (error) {
      throw new ConfigurationError([`${path}: cannot be read: ${messageOf(error)}`]);
    }
  };
  const material: Material = { cert: file(cert), key: file(key), ...(clientCa === undefined ? {} : { ca: file(clientCa) }) };
  try {
    createSecureContext(material);
    const own = new X509Certificate(material.cert);
    if (material.ca !== undefined) new X509Certificate(material.ca);
    return [material, own.validToDate];
  } catch (error) {
    throw new ConfigurationError([
      `${cert}: not a certificate with the key ${key}${clientCa === undefined ? '' : ` and authorities ${clientCa}`}: ${messageOf(error)}`,
    ]);
  }
}

/** What a client's certificate says. */
export interface ClientCertificate {
  /** Why it is not trusted; absent when it is. */
  problem?: string;
  /** Values by attribute of the subject: O, OU, CN. */
  subject: ReadonlyMap<string, readonly string[]>;
  /** URIs of the subject's alternative names, e.g. SPIFFE ids. */
  uris: readonly string[];
  expires: Date;
}

const seen = new WeakMap<TLSSocket, ClientCertificate | undefined>();

/** The certificate that the client of a connection showed; undefined when none. Read once a connection. */
export function clientCertificate(socket: Socket): ClientCertificate | undefined {
  if (!(socket instanceof TLSSocket)) return undefined;
  if (seen.has(socket)) return seen.get(socket);
  const peer = socket.getPeerX509Certificate();
  const certificate =
    peer === undefined
      ? undefined
      : {
          ...(socket.authorized ? {} : { problem: String(socket.authorizationError ?? 'not trusted') }),
          subject: subjectOf(peer.subject),
          uris: urisOf(peer.subjectAltName ?? ''),
          expires: peer.validToDate,
        };
  seen.set(socket, certificate);
  return certificate;
}

/** Node writes a subject as lines `ATTRIBUTE=value`. */
function subjectOf(text: string | undefined): ReadonlyMap<string, readonly string[]> {
  const subject = new Map<string, string[]>();
  for (const line of (text ?? '').split('\n')) {
    const at = line.indexOf('=');
    if (at <= 0) continue;
    const name = line.slice(0, at);
    subject.set(name, [...(subject.get(name) ?? []), line.slice(at + 1)]);
  }
  return subject;
}

/** Names with a comma or quote are written as quoted strings (CVE-2021-44532): no id of a workload needs one, and they are left out. */
function urisOf(names: string): readonly string[] {
  return names.split(', ').flatMap((name) => (/^URI:[^"\\\s]+$/.test(name) ? [name.slice('URI:'.length)] : []));
}
