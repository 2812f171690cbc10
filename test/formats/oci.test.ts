/** OCI manifests and indexes: canonical when written, strict when read. */
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import type { Digest, ImageManifest } from '../../src/formats/oci.ts';
import {
  EMPTY_CONFIG,
  decodeImageIndex,
  decodeImageManifest,
  encodeImageIndex,
  encodeImageManifest,
} from '../../src/formats/oci.ts';

const digest = `sha256:${'b'.repeat(64)}` as Digest;
const manifest: ImageManifest = {
  artifactType: 'application/x',
  config: EMPTY_CONFIG.descriptor,
  layers: [{ mediaType: 'application/octet-stream', digest, size: 7, annotations: { b: '2', a: '1' } }],
  annotations: { z: '1', y: '2' },
};

test('a manifest comes back, and its members and annotations have one order', () => {
  const bytes = encodeImageManifest(manifest);
  expect(decodeImageManifest(bytes)).toEqual(manifest);
  const turned = { ...manifest, annotations: { y: '2', z: '1' } };
  expect(encodeImageManifest(turned)).toEqual(bytes);
  expect(Buffer.from(bytes).toString()).toMatch(/^\{"schemaVersion":2,"mediaType":"[^"]+","artifactType":/);
});

test('an index comes back, with platforms and artifact types', () => {
  const index = {
    manifests: [
      {
        mediaType: 'm',
        digest,
        size: 1,
        platform: { os: 'linux', architecture: 'arm64' },
        artifactType: 'x',
      },
    ],
    annotations: { a: 'b' },
  };
  expect(decodeImageIndex(encodeImageIndex(index))).toEqual(index);
});

test('the digest of the empty config is that of its content', () => {
  const { content, descriptor } = EMPTY_CONFIG;
  expect(`sha256:${createHash('sha256').update(content).digest('hex')}`).toBe(descriptor.digest);
  expect(content.length).toBe(descriptor.size);
});

type Json = Record<string, unknown>;

function broken(change: (json: Json & { layers: Json[] }) => void): Uint8Array {
  const json = JSON.parse(Buffer.from(encodeImageManifest(manifest)).toString()) as Json & { layers: Json[] };
  change(json);
  return Buffer.from(JSON.stringify(json));
}

test('a manifest with any member wrong, missing or unknown is refused', () => {
  const changes: ((json: Json & { layers: Json[] }) => void)[] = [
    (json) => (json['schemaVersion'] = 1),
    (json) => (json['mediaType'] = 'text/plain'),
    (json) => delete json['mediaType'],
    (json) => delete json['config'],
    (json) => Object.assign(json, { layers: {} }),
    (json) => (json['extra'] = 1),
    (json) => (json['artifactType'] = 1),
    (json) => (json['annotations'] = { a: 1 }),
    (json) => (json['annotations'] = []),
    (json) => Object.assign(json, { layers: Array.from({ length: 1001 }, () => json['config']) }),
    ({ layers }) => layers[0] && (layers[0]['digest'] = 'sha256:xyz'),
    ({ layers }) => layers[0] && (layers[0]['digest'] = `sha256:${'B'.repeat(64)}`),
    ({ layers }) => layers[0] && (layers[0]['size'] = -1),
    ({ layers }) => layers[0] && (layers[0]['size'] = 1.5),
    ({ layers }) => layers[0] && (layers[0]['size'] = '7'),
    ({ layers }) => layers[0] && (layers[0]['mediaType'] = ''),
    ({ layers }) => layers[0] && (layers[0]['path'] = '../x'),
    ({ layers }) => layers[0] && (layers[0]['platform'] = 'linux'),
  ];
  for (const change of changes) {
    expect(() => decodeImageManifest(broken(change)), String(change)).toThrow(
      expect.objectContaining({ code: 'input/bad-oci' }),
    );
  }
});

test('what is not a JSON object is refused', () => {
  for (const text of ['', '[]', 'null', '1', '{', '\ufeff{}']) {
    expect(() => decodeImageManifest(Buffer.from(text)), text).toThrow(
      expect.objectContaining({ code: 'input/bad-oci' }),
    );
  }
  expect(() => decodeImageIndex(Uint8Array.of(0x7b, 0xff, 0x7d))).toThrow('not UTF-8');
});
