/** Names of container images and what Docker makes of short ones. */
import { expect, test } from 'vitest';
import { isPathComponent, parseImageReference, pinnedName } from '../../src/formats/image-reference.ts';
import { isDigest } from '../../src/formats/oci.ts';

const HEX = 'a'.repeat(64);

test('short names become full ones as Docker completes them', () => {
  const cases: [string, string, string, string | undefined][] = [
    ['nginx', 'docker.io', 'library/nginx', undefined],
    ['nginx:1.27', 'docker.io', 'library/nginx', '1.27'],
    ['bitnami/redis', 'docker.io', 'bitnami/redis', undefined],
    ['docker.io/nginx', 'docker.io', 'library/nginx', undefined],
    ['index.docker.io/library/nginx', 'docker.io', 'library/nginx', undefined],
    ['localhost/app', 'localhost', 'app', undefined],
    ['localhost:5000/a/b:v1', 'localhost:5000', 'a/b', 'v1'],
    ['ghcr.io/owner/app', 'ghcr.io', 'owner/app', undefined],
    ['[::1]:5000/app', '[::1]:5000', 'app', undefined],
    ['registry:5000/app', 'registry:5000', 'app', undefined],
    ['a__b/c-d.e', 'docker.io', 'a__b/c-d.e', undefined],
  ];
  for (const [text, domain, path, tag] of cases) {
    const reference = parseImageReference(text);
    expect([reference.domain, reference.path, reference.tag], text).toEqual([domain, path, tag]);
  }
});

test('a digest is kept, and the pinned name drops the tag', () => {
  const reference = parseImageReference(`nginx:1.27@sha256:${HEX}`);
  if (reference.digest === undefined) throw new Error('no digest');
  expect(isDigest(reference.digest)).toBe(true);
  expect(pinnedName(reference, reference.digest)).toBe(`docker.io/library/nginx@sha256:${HEX}`);
});

test('what no registry could have is refused', () => {
  for (const text of [
    '',
    'Nginx',
    'a//b',
    '/a',
    'a/',
    'a:',
    'a:-x',
    `a@sha256:${HEX.slice(1)}`,
    `a@sha256:${HEX.toUpperCase()}`,
    `a@sha512:${HEX}${HEX}`,
    HEX,
    'a b',
    '../a',
    'http://host/a',
    'ho_st.io/a',
    `x/${'a'.repeat(260)}`,
    'a\n',
  ]) {
    expect(() => parseImageReference(text), JSON.stringify(text)).toThrow(
      expect.objectContaining({ code: 'input/bad-image-reference' }),
    );
  }
});

test('path components, as app names must be', () => {
  expect(['shop', 'shop-2', 'a_b', 'a.b', 'a__b'].every(isPathComponent)).toBe(true);
  expect(['', 'Shop', '-a', 'a-', 'a/b', '..', 'a___b', 'a b'].some(isPathComponent)).toBe(false);
});
