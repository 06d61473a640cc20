// The server's own certificate, rotated without a restart, and what a client's certificate says about the client.
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Server } from 'node:https';
import type { Socket } from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';
import { messageOf } from '../../../src/core/errors.ts';
import { ConfigurationError } from '../config/load.ts';
import type { TlsConfig } from '../config/types.ts';

interface Material {
  cert: string;
  key: string;
  ca?: string;
  crl?: string[];
}

/** Certificate, key, and of clients the authorities and what these have revoked: read from files, and again when they change. */
export class ServerCertificate {
  readonly #config: TlsConfig;
  #material: Material;
  #expires: Date;
  /** Counts how often the trust in clients changed. */
  #trust = 0;

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

  /** Remembers by which authorities a new connection's client was judged. */
  admit(socket: Socket): void {
    const trust = this.#trust;
    outdated.set(socket, () => this.#trust !== trust);
  }

  /**
   * Takes changed files into use for new connections; true when it did. When the trust in clients changed, connections that nobody uses
   * are closed: on the next one its client is judged again. @throws ConfigurationError when the files are no good: the server then goes
   * on with what it has
   */
  refresh(server: Server): boolean {
    const [material, expires] = read(this.#config);
    if (JSON.stringify(material) === JSON.stringify(this.#material)) return false;
    const trusted = ({ ca, crl }: Material): string => JSON.stringify([ca, crl]);
    const distrusts = trusted(material) !== trusted(this.#material);
    server.setSecureContext(material);
    this.#material = material;
    this.#expires = expires;
    if (distrusts) {
      this.#trust++;
      server.closeIdleConnections();
    }
    return true;
  }
}

const outdated = new WeakMap<Socket, () => boolean>();

/** Whether other clients may be trusted now than when the connection was made. */
export function isOutdated(socket: Socket): boolean {
  return outdated.get(socket)?.() ?? false;
}

const CRL = /-----BEGIN X509 CRL-----[\s\S]+?-----END X509 CRL-----/g;

function read({ cert, key, clientCa, clientCrl }: TlsConfig): [Material, Date] {
  const file = (path: string): string => {
    try {
      return readFileSync(path, 'utf8');
    } catch (error) {
      throw new ConfigurationError([`${path}: cannot be read: ${messageOf(error)}`]);
    }
  };
  // OpenSSL reads one list from each text.
  const lists = clientCrl === undefined ? undefined : (file(clientCrl).match(CRL) ?? []);
  if (lists?.length === 0)
    throw new ConfigurationError([`${clientCrl}: expected certificate revocation lists in PEM (-----BEGIN X509 CRL-----)`]);
  const material: Material = {
    cert: file(cert),
    key: file(key),
    ...(clientCa === undefined ? {} : { ca: file(clientCa) }),
    ...(lists === undefined ? {} : { crl: lists }),
  };
  try {
    createSecureContext(material);
    const own = new X509Certificate(material.cert);
    if (material.ca !== undefined) new X509Certificate(material.ca);
    return [material, own.validToDate];
  } catch (error) {
    throw new ConfigurationError([
      `${cert}: not a certificate with the key ${key}${clientCa === undefined ? '' : ` and authorities ${clientCa}`}${clientCrl === undefined ? '' : ` and their lists ${clientCrl}`}: ${messageOf(error)}`,
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
  const certificate = judged(socket);
  if (certificate === undefined || !isOutdated(socket)) return certificate;
  return { ...certificate, problem: 'the trusted authorities changed since the connection was made; make another' };
}

function judged(socket: TLSSocket): ClientCertificate | undefined {
  if (seen.has(socket)) return seen.get(socket);
  const peer = socket.getPeerX509Certificate();
  const certificate =
    peer === undefined
      ? undefined
      : {
          ...(socket.authorized ? {} : { problem: String(socket.authorizationError ?? 'not trusted') }),
          subject: subjectOf(peer),
          uris: urisOf(peer.subjectAltName ?? ''),
          expires: peer.validToDate,
        };
  seen.set(socket, certificate);
  return certificate;
}

/** The values as they are: the subject's text has commas and other letters escaped (RFC 2253), and joins names that stand together by +. */
function subjectOf(peer: X509Certificate): ReadonlyMap<string, readonly string[]> {
  const subject = (peer.toLegacyObject().subject ?? {}) as unknown as Record<string, string | string[]>;
  return new Map(Object.entries(subject).map(([name, value]) => [name, Array.isArray(value) ? value : [value]]));
}

/** Names with a comma or quote are written as quoted strings (CVE-2021-44532): no id of a workload needs one, and they are left out. */
function urisOf(names: string): readonly string[] {
  return names.split(', ').flatMap((name) => (/^URI:[^"\\\s]+$/.test(name) ? [name.slice('URI:'.length)] : []));
}
