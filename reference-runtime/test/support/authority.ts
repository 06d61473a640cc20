// A certificate authority for tests: real X.509, made when they run.
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

x509.cryptoProvider.set(webcrypto as unknown as Parameters<typeof x509.cryptoProvider.set>[0]);
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const DAY_MS = 86_400_000;

/** PEM texts of a certificate and its private key. */
export interface Pair {
  cert: string;
  key: string;
}

export interface Authority {
  ca: string;
  issue(subject: string, options?: { uris?: string[]; dns?: string[]; notAfter?: Date }): Promise<Pair>;
}

async function pem(keys: webcrypto.CryptoKeyPair): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY');
}

/** A new authority with a key of its own. */
export async function authority(name: string): Promise<Authority> {
  const keys = (await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
  const notBefore = new Date(Date.now() - 30 * DAY_MS);
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    notBefore,
    notAfter: new Date(Date.now() + 30 * DAY_MS),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 1, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
    ],
  });
  return {
    ca: root.toString('pem'),
    async issue(subject, { uris = [], dns = [], notAfter = new Date(Date.now() + DAY_MS) } = {}) {
      const own = (await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
      const names = [
        ...uris.map((value) => ({ type: 'url' as const, value })),
        ...dns.map((value) => ({ type: 'dns' as const, value })),
      ];
      const certificate = await x509.X509CertificateGenerator.create({
        subject,
        issuer: root.subject,
        notBefore,
        notAfter,
        signingAlgorithm: ALGORITHM,
        publicKey: own.publicKey,
        signingKey: keys.privateKey,
        extensions: names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)],
      });
      return { cert: certificate.toString('pem'), key: await pem(own) };
    },
  };
}
