import { expect, test } from 'vitest';
import { decodeShowInfo } from '../../src/formats/buildroot-info.ts';
import { encodeBom } from '../../src/formats/cyclonedx.ts';

const bom = (licenses?: string, version = '1.0'): Record<string, unknown> => {
  const bytes = encodeBom({
    product: 'gateway',
    version: '2.0',
    created: '2026-01-01T00:00:00Z',
    packages: [{ name: 'a+b', version, ...(licenses === undefined ? {} : { licenses }) }],
  });
  const { components } = JSON.parse(Buffer.from(bytes).toString()) as {
    components: Record<string, unknown>[];
  };
  return components[0] ?? {};
};

test('licences are separated by commas outside of brackets', () => {
  expect(bom('GPL-2.0+ (programs, tests), MIT,')).toMatchObject({
    licenses: [{ license: { name: 'GPL-2.0+ (programs, tests)' } }, { license: { name: 'MIT' } }],
    purl: 'pkg:generic/a%2Bb@1.0',
  });
});

test('what is not known is left out', () => {
  expect(bom(undefined, '')).toEqual({
    type: 'library',
    'bom-ref': 'package-1',
    name: 'a+b',
    purl: 'pkg:generic/a%2Bb',
  });
});

test('licence files and the place of the sources are told', () => {
  const encoded = encodeBom({
    ...{ product: 'p', version: '1', created: '2026-01-01T00:00:00Z' },
    packages: [
      {
        ...{ name: 'a', version: '1', licenseFiles: ['COPYING'] },
        ...{ sourceArchive: 'a-1.tar.xz', sourceSite: 'https://example.org/a' },
      },
    ],
  });
  expect(JSON.parse(Buffer.from(encoded).toString())).toMatchObject({
    components: [
      {
        externalReferences: [{ type: 'distribution', url: 'https://example.org/a', comment: 'a-1.tar.xz' }],
        properties: [{ name: 'treewright:license-file', value: 'COPYING' }],
      },
    ],
  });
});

test('of show-info the packages count that install something on the target', () => {
  const text = JSON.stringify({
    zlib: { type: 'target', virtual: true },
    'libzlib': { type: 'target', virtual: false, version: '1.3.1', licenses: 'Zlib', install_target: true, downloads: [{ source: 'zlib-1.3.1.tar.xz' }], 'cpe-id': 'cpe:2.3:a:zlib:zlib:1.3.1:*:*:*:*:*:*:*' },
    'linux-headers': { type: 'target', virtual: false, version: '6.12', install_target: false },
    'host-tar': { type: 'host', virtual: false, version: '1.35' },
    busybox: { type: 'target', virtual: false, version: '1.37.0', licenses: 'unknown', install_target: true },
    'rootfs-tar': { type: 'rootfs', image_name: 'rootfs.tar' },
  }); // prettier-ignore
  expect(decodeShowInfo(text)).toEqual([
    { name: 'busybox', version: '1.37.0', downloaded: false },
    {
      name: 'libzlib',
      version: '1.3.1',
      licenses: 'Zlib',
      cpe: 'cpe:2.3:a:zlib:zlib:1.3.1:*:*:*:*:*:*:*',
      downloaded: true,
    },
  ]);
  expect(decodeShowInfo('make: nothing')).toBeUndefined();
  expect(decodeShowInfo('[1]')).toBeUndefined();
});
