/** RSA keys as `mkimage` takes them: a private key, and the certificate from which it reads the public one. */
import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Writes `<name>.key` and `<name>.crt`. */
export async function writeSigningKey(directory: string, name: string, bits = 2048): Promise<void> {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: bits });
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, `${name}.key`), privateKey.export({ type: 'pkcs8', format: 'pem' }), {
    mode: 0o600,
  });
  // An X.509 certificate, version 1 (RFC 5280, 4.1), of nobody for ten years.
  const algorithm = der(0x30, der(0x06, Buffer.from('2a864886f70d01010b', 'hex')), der(0x05));
  const nobody = der(0x30);
  const time = (text: string): Buffer => der(0x17, Buffer.from(text));
  const content = der(
    0x30,
    ...[der(0x02, Buffer.of(1)), algorithm, nobody],
    ...[der(0x30, time('200101000000Z'), time('300101000000Z')), nobody],
    publicKey.export({ type: 'spki', format: 'der' }),
  );
  const signature = der(0x03, Buffer.of(0), sign('sha256', content, privateKey));
  const base64 = der(0x30, content, algorithm, signature).toString('base64');
  const lines = base64.match(/.{1,64}/g) ?? [];
  const text = ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
  await writeFile(join(directory, `${name}.crt`), text);
}

/** One value of ASN.1's distinguished encoding rules. */
function der(tag: number, ...parts: Buffer[]): Buffer {
  const value = Buffer.concat(parts);
  const { length } = value;
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...size), value]);
}
