import fc from 'fast-check';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  applyChanges,
  decodeEnvironment,
  encodeEnvironment,
  formatEnvironmentText,
  parseEnvironmentText,
} from '../../src/formats/uboot-env.ts';
import { describeReference, runTool } from '../reference/tools.ts';

const variables = (text: string): Record<string, string> =>
  Object.fromEntries(applyChanges(parseEnvironmentText(text)));

const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_.]{0,12}$/);
const value = fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' }).filter((s) => !s.includes('\0'));
const environment = fc
  .dictionary(name, value, { noNullPrototype: true })
  .map((o) => new Map(Object.entries(o)));

describe('environment text', () => {
  test('is read as env import -t reads it', () => {
    expect(variables('a=1\n  \tb=2 \n# c=3\n\n  # d=4\nempty=\nname only\ne=x=y\nf=1')).toEqual({
      a: '1',
      b: '2 ',
      e: 'x=y',
      f: '1',
    });
  });

  test('a name without a value deletes, in order', () => {
    expect(parseEnvironmentText('a=1\na\nb=\n')).toEqual([
      { name: 'a', value: '1' },
      { name: 'a', value: undefined },
      { name: 'b', value: undefined },
    ]);
    expect(variables('a=1\na=\na=2\n')).toEqual({ a: '2' });
    expect(variables('a=1\na=')).toEqual({});
  });

  test('a backslash takes the next character as it is, even a line end, and stands for itself at the end', () => {
    expect(variables('a=one\\\ntwo\nb=\\\\x\nc=\\q\nd=z\\')).toEqual({
      a: 'one\ntwo',
      b: '\\x',
      c: 'q',
      d: 'z\\',
    });
  });

  test('a NUL separates, two end the text; a carriage return stays in the value', () => {
    expect(variables('a=1\0b=2\0\0c=3\n')).toEqual({ a: '1', b: '2' });
    expect(variables('a=1\r\nb=2\r\n')).toEqual({ a: '1\r', b: '2\r' });
  });

  test('a value without a name stops the import', () => {
    expect(() => parseEnvironmentText('a=1\n=2\n')).toThrow(/no name/);
  });

  test('what is written is read back', () => {
    fc.assert(
      fc.property(environment, (env) => {
        expect(applyChanges(parseEnvironmentText(formatEnvironmentText(env)))).toEqual(
          new Map([...env].sort(([a], [b]) => (a < b ? -1 : 1))),
        );
      }),
    );
  });

  test('reading any text ends, and gives only changes that have a name', () => {
    const soup = fc.string({
      unit: fc.constantFrom('a', 'b', '=', '\n', '\\', ' ', '\t', '#', '\0', '\r'),
      maxLength: 60,
    });
    fc.assert(
      fc.property(soup, (text) => {
        try {
          for (const change of parseEnvironmentText(text)) expect(change.name).not.toBe('');
        } catch (error) {
          expect(String(error)).toMatch(/no name/);
        }
      }),
    );
  });

  test('names and values that could not be read back are refused', () => {
    for (const [bad, text] of [
      ['a=b', 'x'],
      [' a', 'x'],
      ['#a', 'x'],
      ['', 'x'],
      ['a', ''],
      ['a', '\0'],
    ] as const) {
      expect(() => formatEnvironmentText(new Map([[bad, text]]))).toThrow(/U-Boot environment/);
    }
  });
});

describe('binary environment', () => {
  const layouts = fc.record({ redundant: fc.boolean(), bigEndian: fc.boolean() });

  test('what is encoded decodes to the same variables', () => {
    fc.assert(
      fc.property(environment, layouts, (env, layout) => {
        const size = 16384;
        const bytes = encodeEnvironment(env, { size, ...layout });
        expect(bytes.length).toBe(size);
        const decoded = decodeEnvironment(bytes, { size, ...layout });
        expect(decoded.variables).toEqual(env);
        expect(decoded.flag).toBe(layout.redundant ? 1 : undefined);
      }),
    );
  });

  test('damage, the wrong size and a missing end are refused', () => {
    const bytes = encodeEnvironment(new Map([['a', '1']]), { size: 64 });
    for (const at of [0, 5, 20, 63]) {
      const damaged = bytes.slice();
      damaged[at] = (damaged[at] ?? 0) ^ 1;
      expect(() => decodeEnvironment(damaged, { size: 64 })).toThrow(/checksum/);
    }
    expect(() => decodeEnvironment(bytes, { size: 128 })).toThrow(/64 bytes, expected 128/);
    expect(() => decodeEnvironment(bytes, { size: 64, redundant: true })).toThrow(/checksum/);
  });

  test('an environment that does not fit says what it needs', () => {
    const env = new Map([['name', 'x'.repeat(20)]]);
    expect(encodeEnvironment(env, { size: 31 })).toHaveLength(31);
    expect(() => encodeEnvironment(env, { size: 30 })).toThrow(/needs 31 bytes, its storage has 30/);
    expect(() => encodeEnvironment(env, { size: 31, redundant: true })).toThrow(/needs 32 bytes/);
  });

  test('the rest of an older environment behind the end is no variable', () => {
    const old = encodeEnvironment(new Map([['a', '1'], ['b', '2']]), { size: 64 }); // prettier-ignore
    const current = encodeEnvironment(new Map([['a', '1']]), { size: 64, bigEndian: true }, { fill: 0x41 });
    expect([...decodeEnvironment(current, { size: 64, bigEndian: true }).variables]).toEqual([['a', '1']]);
    expect(decodeEnvironment(old, { size: 64 }).variables.size).toBe(2);
  });
});

describeReference('binary environment against mkenvimage', ['mkenvimage'], () => {
  let scratch: string;
  beforeAll(async () => {
    scratch = await mkdtemp(join(tmpdir(), 'treewright-env-'));
  });
  afterAll(() => rm(scratch, { recursive: true, force: true }));

  const boot = new Map([
    ['bootcount', '0'],
    ['bootcmd', 'run distro_bootcmd; echo "done"'],
    ['lines', 'one\ntwo'],
    ['path', 'a\\b'],
    ['ünïcode', 'ä'],
  ]);

  test.each([
    { name: 'plain', flags: [], layout: {}, fill: undefined },
    { name: 'redundant', flags: ['-r'], layout: { redundant: true }, fill: undefined },
    { name: 'big-endian, zero fill', flags: ['-b', '-p', '0'], layout: { bigEndian: true }, fill: 0 },
  ])(
    '$name: ours is mkenvimage’s, byte for byte, and its own decodes',
    async ({ name: label, flags, layout, fill }) => {
      const text = join(scratch, `${label}.txt`);
      const out = join(scratch, `${label}.bin`);
      await writeFile(text, formatEnvironmentText(boot));
      await runTool('mkenvimage', [...flags, '-s', '0x1000', '-o', out, text]);
      const theirs = new Uint8Array(await readFile(out));
      const sorted = new Map([...boot].sort(([a], [b]) => (a < b ? -1 : 1)));
      const ours = encodeEnvironment(sorted, { size: 0x1000, ...layout }, fill === undefined ? {} : { fill });
      expect(Buffer.from(ours).equals(theirs)).toBe(true);
      expect(decodeEnvironment(theirs, { size: 0x1000, ...layout }).variables).toEqual(sorted);
    },
  );
});
