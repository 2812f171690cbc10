/** The machine's Debian archive is found in both forms of apt's sources, and security or foreign archives are not taken. */
import { expect, test } from 'vitest';
import { isDebianArchive, packageOfDeb, parseDeb822Sources, parseOneLineSources } from './debian-packages.ts';

test('the one-line form: options, components and comments', () => {
  const entries = parseOneLineSources(
    [
      '# deb http://commented.example/debian bookworm main',
      'deb-src http://source.example/debian bookworm main',
      'deb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg] http://mirror.example/debian bookworm main contrib # note',
      'deb http://security.example/debian-security bookworm-security main',
    ].join('\n'),
  );
  expect(entries).toEqual([
    {
      uris: ['http://mirror.example/debian'],
      suites: ['bookworm'],
      components: ['main', 'contrib'],
      signedBy: '/usr/share/keyrings/x.gpg',
    },
    {
      uris: ['http://security.example/debian-security'],
      suites: ['bookworm-security'],
      components: ['main'],
      signedBy: undefined,
    },
  ]);
  expect(entries.map(isDebianArchive)).toEqual([true, false]);
});

test('the deb822 form: several values, continuation lines, disabled stanzas', () => {
  const entries = parseDeb822Sources(
    [
      'Types: deb deb-src',
      '# a comment',
      'URIs: https://mirror.example/debian',
      'Suites: trixie',
      ' trixie-updates',
      'Components: main',
      'Signed-By: /usr/share/keyrings/debian-archive-keyring.pgp',
      '',
      'Types: deb',
      'Enabled: no',
      'URIs: http://off.example/debian',
      'Suites: trixie',
      'Components: main',
      '',
      'Types: deb',
      'URIs: https://other.example/node',
      'Suites: nodistro',
      'Components: main',
    ].join('\n'),
  );
  expect(entries.map(({ uris }) => uris[0])).toEqual([
    'https://mirror.example/debian',
    'https://other.example/node',
  ]);
  expect(entries[0]?.suites).toEqual(['trixie', 'trixie-updates']);
  expect(entries[0]?.signedBy).toBe('/usr/share/keyrings/debian-archive-keyring.pgp');
  expect(entries.map(isDebianArchive)).toEqual([true, false]);
});

test('a package file name tells name and version', () => {
  expect(packageOfDeb('/x/zlib1g_1%3a1.2.13.dfsg-1_amd64.deb')).toEqual({
    name: 'zlib1g',
    version: '1:1.2.13.dfsg-1',
  });
});
