/** Reading Compose files: what they mean, what is refused and where, and what becomes of them. */
import { describe, expect, test } from 'vitest';
import {
  CONFIG_HASH_LABEL,
  pinComposeFile,
  readComposeFile,
  readPinnedServices,
  serviceHash,
} from '../../src/apps/compose-file.ts';
import { parseComposeYaml } from '../../src/apps/compose-yaml.ts';
import { interpolate, parseDotEnv, variablesOf } from '../../src/apps/interpolation.ts';
import type { Diagnostic } from '../../src/core/diagnostics.ts';
import { isTreewrightError } from '../../src/core/errors.ts';
import type { YamlMap } from '../../src/formats/yaml-text.ts';
import { encodeYaml, isYamlMap } from '../../src/formats/yaml-text.ts';

function read(text: string): { file: ReturnType<typeof readComposeFile>; diagnostics: Diagnostic[] } {
  const diagnostics: Diagnostic[] = [];
  return {
    file: readComposeFile(text, 'app/docker-compose.yml', (diagnostic) => diagnostics.push(diagnostic)),
    diagnostics,
  };
}

function failure(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (isTreewrightError(error)) return `${error.code} ${error.message}`;
    throw error;
  }
  return 'no error';
}

function at(map: YamlMap, ...path: string[]): unknown {
  return path.reduce<unknown>(
    (value, key) => (value instanceof Map ? (value as YamlMap).get(key) : undefined),
    map,
  );
}

describe('values', () => {
  test('anchors and merge keys are written out; what stands in the service wins, then the first merged', () => {
    const { root } = parseComposeYaml(
      [
        'x-a: &a {restart: always, labels: {from: a}}',
        'x-b: &b {restart: never, user: b}',
        'services:',
        '  web:',
        '    <<: [*a, *b]',
        '    labels: {from: web}',
        '    image: x',
      ].join('\n'),
      'f',
    );
    expect(at(root, 'services', 'web', 'restart')).toBe('always');
    expect(at(root, 'services', 'web', 'user')).toBe('b');
    expect(at(root, 'services', 'web', 'labels', 'from')).toBe('web');
  });

  test('an anchor bomb and a cycle end in an error, not in memory', () => {
    const bomb = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
    for (let i = 1; i < 9; i++)
      bomb.push(`a${i}: &a${i} [${Array.from({ length: 10 }, () => `*a${i - 1}`).join(', ')}]`);
    expect(failure(() => parseComposeYaml(bomb.join('\n'), 'f'))).toContain('anchors');
    expect(failure(() => parseComposeYaml('a: &a [*a]', 'f'))).toContain('config/bad-yaml');
  });

  test('keys like __proto__ are ordinary', () => {
    const { root } = parseComposeYaml('__proto__: {a: 1}\nconstructor: x', 'f');
    expect([...root.keys()]).toEqual(['__proto__', 'constructor']);
  });

  test('faults of the text are reported at their line and column', () => {
    const cases: [string, string][] = [
      ['a: 1\nb: [1, 2\n', 'f:3:1'],
      ['a: 1\na: 2\n', 'f:2:1'],
      ['a: 1\nwhen: 2024-01-02\n', 'f:2:7'],
      ['a:\n  1: x\n', 'f:2:3'],
      ['a: !reset null\n', 'f:1:11'],
      ['a: *none\n', 'f:1:4'],
      ['a: {<<: 3}\n', 'f:1:5'],
      ['- a\n', 'f:1:1'],
      ['a: 1\n---\nb: 2\n', 'f:2:1'],
    ];
    for (const [text, where] of cases) {
      expect(
        failure(() => parseComposeYaml(text, 'f')),
        text,
      ).toContain(`config/bad-yaml ${where}: `);
    }
  });
});

describe('what an app must not have', () => {
  const cases: [string, string, string][] = [
    ['services: {web: {build: .}}', 'config/compose-build', ':1:25'],
    ['services:\n  web:\n    image: x\n    build: .\n', 'config/compose-build', ':4:12'],
    ['services:\n  web:\n    extends: {service: b}\n', 'config/compose-extends', ':3:14'],
    ['include: [other.yml]\nservices: {web: {image: x}}', 'config/compose-include', ':1:10'],
    ['services:\n  web: {ports: []}', 'config/compose-image', ':2:8'],
    ['services: {}', 'config/compose-services', ':1:11'],
    ['version: "3"', 'config/compose-services', ':1:1'],
    ['services: {web: x}', 'config/compose-services', ':1:17'],
    ['services: {web: {image: x, env_file: ../secret.env}}', 'config/outside-app', ':1:38'],
    ['services: {web: {image: x}}\nconfigs: {c: {file: a/../../b}}', 'config/outside-app', ':2:21'],
  ];
  for (const [text, code, where] of cases) {
    test(`${code} ${where}`, () => {
      const message = failure(() => read(text));
      expect(message).toContain(`${code} app/docker-compose.yml${where}: `);
    });
  }

  test('the files a device needs are listed, optional and absolute ones are not', () => {
    const { file } = read(
      [
        'services:',
        '  web:',
        '    image: x',
        '    env_file: [./a.env, {path: b.env}, {path: c.env, required: false}, /etc/d.env]',
        'configs: {c: {file: conf/c.conf}, d: {external: true}}',
        'secrets: {s: {environment: S}}',
      ].join('\n'),
    );
    expect(file.files.map(({ path }) => path)).toEqual(['a.env', 'b.env', 'conf/c.conf']);
  });

  test('what works with docker compose but not with composectl is told', () => {
    const { diagnostics } = read(
      'services:\n  web:\n    image: ${I:?}\n    env_file: a.env\n    command: run ${MODE:?set it}\n    volumes: [../other:/data]\n',
    );
    expect(diagnostics.map(({ code, where }) => [code, where?.kind === 'text' ? where.line : 0])).toEqual([
      ['config/env-file', 4],
      ['config/outside-app', 6],
      ['config/required-variable', 5],
    ]);
  });
});

describe('pinning', () => {
  const pinnedImage = `docker.io/library/x@sha256:${'1'.repeat(64)}`;

  test('gives the label composectl gives', () => {
    // The text is the one yaml.v3 writes for this service.
    const { file } = read(
      'services:\n  web:\n    ports: ["8080:80"]\n    image: x\n    labels: {b: two, a: "1"}\n',
    );
    const done = pinComposeFile(file.root, new Map([['web', pinnedImage]]));
    const text = `image: ${pinnedImage}\nlabels:\n    a: "1"\n    b: two\nports:\n    - 8080:80\n`;
    const service = at(done, 'services', 'web') as YamlMap;
    expect(serviceHash(service)).toMatchInlineSnapshot(
      `"2848b6c8b5db941682c967f531633a03095bbf996b097af6fc109355e5d1ae23"`,
    );
    const plain = new Map(service);
    plain.set(
      'labels',
      new Map([
        ['a', '1'],
        ['b', 'two'],
      ]),
    );
    expect(encodeYaml(plain)).toBe(text);
    expect(at(done, 'services', 'web', 'labels', CONFIG_HASH_LABEL)).toBe(serviceHash(service));
  });

  test('labels as a list become a mapping, and an old hash is replaced', () => {
    const list = read(`services: {web: {image: x, labels: [a=1, b, "c=d=e", "${CONFIG_HASH_LABEL}=old"]}}`);
    const map = read('services: {web: {image: x, labels: {a: "1", b: "", c: d=e}}}');
    const [fromList, fromMap] = [list, map].map(({ file }) =>
      encodeYaml(pinComposeFile(file.root, new Map([['web', pinnedImage]]))),
    );
    expect(fromList).toBe(fromMap);
    expect(fromList).not.toContain('old');
  });

  test('the finished file reads back with its services, and not when a hash, an image or a key was changed', () => {
    const { file } = read('services: {web: {image: x, cpus: 0.5}, db: {image: y}}');
    const text = encodeYaml(
      pinComposeFile(
        file.root,
        new Map([
          ['web', pinnedImage],
          ['db', pinnedImage],
        ]),
      ),
    );
    expect(readPinnedServices(text, 'c')).toEqual([
      { name: 'db', image: pinnedImage },
      { name: 'web', image: pinnedImage },
    ]);
    for (const [from, to] of [
      ['cpus: 0.5', 'cpus: 0.6'],
      ['sha256:1', 'sha256:2'],
      [CONFIG_HASH_LABEL, 'other-label'],
      ['cpus: 0.5', 'build: .'],
      ['services:', 'service:'],
    ] as const) {
      expect(text).toContain(from);
      expect(
        failure(() => readPinnedServices(text.replace(from, to), 'c')),
        to,
      ).toContain('input/bad-app');
    }
  });

  test('everything else keeps its meaning', () => {
    const source =
      'name: n\nservices:\n  web:\n    image: x\n    command: "echo $$HOME"\n    mode: 0755\n    on: yes\n';
    const { file } = read(source);
    const done = parseComposeYaml(
      encodeYaml(pinComposeFile(file.root, new Map([['web', pinnedImage]]))),
      'again',
    ).root;
    const before = at(parseComposeYaml(source, 's').root, 'services', 'web');
    const after = at(done, 'services', 'web');
    if (!isYamlMap(before as YamlMap) || !isYamlMap(after as YamlMap)) throw new Error('no service');
    for (const [key, value] of before as YamlMap)
      if (key !== 'image') expect((after as YamlMap).get(key)).toEqual(value);
  });
});

describe('variables', () => {
  const env: Readonly<Record<string, string>> = { TAG: '1.2', EMPTY: '' };
  const lookup = (name: string): string | undefined => env[name];

  test("in all of Compose's forms", () => {
    const cases: [string, string][] = [
      ['a:$TAG', 'a:1.2'],
      ['a:${TAG}', 'a:1.2'],
      ['${TAG:-x}', '1.2'],
      ['${NO:-x}', 'x'],
      ['${EMPTY:-x}', 'x'],
      ['${EMPTY-x}', ''],
      ['${NO:-${TAG}-${NO-y}}', '1.2-y'],
      ['${TAG:+set}', 'set'],
      ['${NO:+set}', ''],
      ['${EMPTY+set}', 'set'],
      ['${TAG:?msg}', '1.2'],
      ['$$TAG', '$TAG'],
      ['none', 'none'],
    ];
    for (const [text, result] of cases) expect(interpolate(text, lookup), text).toBe(result);
  });

  test('an unset one is named, with its message', () => {
    expect(failure(() => interpolate('a:${NO}', lookup))).toContain(
      'config/unset-variable the variable NO is not set',
    );
    expect(failure(() => interpolate('a:${EMPTY:?give a tag}', lookup))).toContain('(give a tag)');
  });

  test('texts that are not well formed are refused', () => {
    for (const text of ['$', 'a$-', '${', '${TAG', '${TAG!x}', '${1}', '${}']) {
      expect(
        failure(() => interpolate(text, lookup)),
        text,
      ).toContain('config/bad-interpolation');
      expect(variablesOf(text), text).toEqual([]);
    }
    const deep = `${'${A:-'.repeat(40)}x${'}'.repeat(40)}`;
    expect(failure(() => interpolate(deep, () => undefined))).toContain('nested');
  });

  test('.env files: comments, quotes, export, earlier values, lines that go on', () => {
    const text = [
      '# comment',
      'TAG=2.0 # trailing',
      'export REGISTRY = ghcr.io',
      "RAW='$TAG # kept'",
      'BOTH="${REGISTRY}/app:${TAG}\\n"',
      'MULTI="one',
      'two"',
      'COLON: value',
      'HASH=a#b',
      'NONE=',
      'INHERITED',
    ].join('\n');
    expect(
      Object.fromEntries(parseDotEnv(text, (name) => (name === 'INHERITED' ? 'yes' : undefined))),
    ).toEqual({
      TAG: '2.0',
      REGISTRY: 'ghcr.io',
      RAW: '$TAG # kept',
      BOTH: 'ghcr.io/app:2.0\n',
      MULTI: 'one\ntwo',
      COLON: 'value',
      HASH: 'a#b',
      NONE: '',
      INHERITED: 'yes',
    });
    expect(failure(() => parseDotEnv('a b c', () => undefined))).toContain('line 1');
    expect(failure(() => parseDotEnv('A="x', () => undefined))).toContain('never closed');
  });
});
