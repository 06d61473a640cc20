import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { ConfigurationError } from '../core/errors.ts';
import type { EvidenceEnvelopeDocument } from '../generated/schemas.ts';

const PAYLOAD_TYPE = 'application/vnd.in-toto+json';

export type Envelope = EvidenceEnvelopeDocument;

/** Pre-authentication encoding: what a DSSE signature covers (DSSE v1.0.2, protocol.md, "PAE"). */
export function preAuthEncoding(type: string, payload: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`DSSEv1 ${Buffer.byteLength(type)} ${type} ${payload.byteLength} `), payload]);
}

/** SHA-256 of the public key in SPKI DER form, lower-case hex. */
export function keyId(key: KeyObject): string {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex');
}

export function signEnvelope(payload: Uint8Array, privateKey: KeyObject): Envelope {
  return {
    payloadType: PAYLOAD_TYPE,
    payload: Buffer.from(payload).toString('base64'),
    signatures: [
      { keyid: keyId(privateKey), sig: sign(null, preAuthEncoding(PAYLOAD_TYPE, payload), privateKey).toString('base64') },
    ],
  };
}

/** The payload, and the ids of the given keys whose signature is valid. */
export function openEnvelope(
  envelope: Envelope,
  keys: readonly KeyObject[],
): { readonly payload: Buffer; readonly signedBy: readonly string[] } {
  const payload = Buffer.from(envelope.payload, 'base64');
  const message = preAuthEncoding(envelope.payloadType, payload);
  const signedBy = keys
    .filter((key) => envelope.signatures.some(({ sig }) => verify(null, message, key, Buffer.from(sig, 'base64'))))
    .map(keyId);
  return { payload, signedBy: [...new Set(signedBy)].sort() };
}

/** An Ed25519 key from PEM text; ConfigurationError for anything else. The text itself is never quoted. */
export function readKey(pem: string, kind: 'private' | 'public', file: string): KeyObject {
  let key: KeyObject;
  try {
    key = kind === 'private' ? createPrivateKey(pem) : createPublicKey(pem);
  } catch (cause) {
    throw new ConfigurationError(
      {
        message: `the file is not a ${kind} key.`,
        location: { file },
        expected: `an Ed25519 ${kind} key in PEM form`,
        fix: 'make a pair with `openssl genpkey -algorithm ed25519`.',
      },
      { cause },
    );
  }
  if (key.asymmetricKeyType !== 'ed25519') {
    throw new ConfigurationError({
      message: `the key is of type ${key.asymmetricKeyType ?? 'unknown'}.`,
      location: { file },
      expected: 'an Ed25519 key',
    });
  }
  return key;
}
