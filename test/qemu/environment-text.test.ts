/** What U-Boot makes of a thousand odd uEnv.txt files, and what our parser makes of them. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseEnvironmentText } from '../../src/formats/uboot-env.ts';
import { encodeScriptImage } from '../../src/formats/uboot-image.ts';
import { describeReference } from '../reference/tools.ts';
import { startSandbox } from './support/sandbox.ts';

const COUNT = 1000;

/** In the environment before each import, so that deletions show. */
const BEFORE = { a: 'old', b: 'old b', kept: 'kept', name: 'x\\y' };

/** Numbers from 0 to below 1, the same ones for the same seed (mulberry32). */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const NAMES = [
  'a',
  'b',
  'c',
  'name',
  'kernel_image',
  'bootargs2',
  'x.y',
  'über',
  '9',
  'a b',
  'c\\',
  '-',
  'q#',
];
const PIECES = [
  ...['a', 'b=', '=', ' ', '\t', '\\', '\\\\', '\\\n', '\\\0', '#', '\r', "'", '"', '${c}', ';', '/boot/x'],
  ...['\xff', '\x01', 'ü', '\\"', 'long '.repeat(60), '\\\r'],
];
const ENDS = ['\n', '\n', '\n', '\n', '\n', '\r\n', '\n\n', '\0', '\n\0', '\0\0', '\\\n', ''];

/** Lines as people, tools and accidents write them; Latin-1, so that a character is a byte. */
function odd(next: () => number): string {
  const pick = (list: readonly string[]): string => list[Math.floor(next() * list.length)] ?? '';
  const some = (most: number): string =>
    Array.from({ length: Math.floor(next() * (most + 1)) }, () => pick(PIECES)).join('');
  const line = (): string => {
    const kind = next();
    if (kind < 0.55) return `${pick(['', '', '', ' ', '\t '])}${pick(NAMES)}=${some(5)}`;
    if (kind < 0.65) return pick(NAMES);
    if (kind < 0.75) return `${pick(NAMES)}=`;
    if (kind < 0.82) return `${pick(['', ' '])}#${some(4)}`;
    if (kind < 0.87) return '';
    if (kind < 0.89) return `=${some(2)}`;
    if (kind < 0.94) return ' \t'.slice(0, Math.floor(next() * 3));
    return some(8);
  };
  return Array.from({ length: 1 + Math.floor(next() * 7) }, () => line() + pick(ENDS)).join('');
}

/** The variables after the import, and whether it had to stop before the end. */
function ours(text: string): { state: string; variables: Record<string, string> } {
  const variables = new Map<string, string>(Object.entries(BEFORE));
  let state = 'whole';
  let readable = text;
  for (;;) {
    try {
      for (const { name, value } of parseEnvironmentText(readable)) {
        if (value === undefined) variables.delete(name);
        else variables.set(name, value);
      }
      return { state, variables: Object.fromEntries(variables) };
    } catch {
      // What stands before the value without a name is imported: cut the text there.
      state = 'stopped';
      readable = readable.slice(0, readable.length - 1);
    }
  }
}

describeReference('uEnv.txt', ['sandbox:u-boot-sandbox'], () => {
  let directory = '';
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tw-import-'));
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  test(`is read as env import -t reads it, ${COUNT} random texts`, async () => {
    const next = generator(20);
    const texts = Array.from({ length: COUNT }, () => odd(next));
    for (const name of ['in', 'out']) await mkdir(join(directory, name));
    await writeFile(join(directory, 'disk.img'), new Uint8Array(2 << 20));
    await writeFile(
      join(directory, 'before'),
      Object.entries(BEFORE)
        .map(([name, value]) => `${name}=${value.replaceAll('\\', '\\\\')}\n`)
        .join(''),
    );
    const commands: string[] = [];
    for (const [index, text] of texts.entries()) {
      await writeFile(join(directory, 'in', String(index)), text, 'latin1');
      commands.push(
        'host load hostfs - 2000000 before',
        'env import -d -t 2000000 ${filesize}',
        `host load hostfs - 1000000 in/${index}`,
        'if env import -t 1000000 ${filesize}; then setenv state whole; else setenv state stopped; fi',
        'env export -b 3000000',
        `host save hostfs - 3000000 out/${index} \${filesize}`,
      );
    }
    const script = new TextEncoder().encode(`${commands.join('\n')}\necho all"-"done\n`);
    await writeFile(
      join(directory, 'script'),
      encodeScriptImage({ script, name: 'imports', arch: 'arm64', time: 0 }),
    );
    const uboot = await startSandbox({ directory, disk: 'disk.img', variables: { bootdelay: '-1' } });
    try {
      await uboot.expect(/=> /, 30);
      uboot.type('host load hostfs - 4000000 script; source 4000000');
      await uboot.expect(/all-done/, 120);
    } finally {
      await uboot.cut();
    }
    let stopped = 0;
    for (const [index, text] of texts.entries()) {
      const out = await readFile(join(directory, 'out', String(index)), 'latin1');
      const theirs: Record<string, string> = {};
      for (const entry of out.split('\0').filter((each) => each !== '')) {
        const equals = entry.indexOf('=');
        theirs[entry.slice(0, equals)] = entry.slice(equals + 1).replace(/\\(.)/gs, '$1');
      }
      const variables = Object.fromEntries(
        Object.entries(theirs).filter(([name]) => !['state', 'filesize', 'fileaddr'].includes(name)),
      );
      if (theirs['state'] === 'stopped') stopped++;
      expect({ state: theirs['state'], variables }, JSON.stringify(text)).toEqual(ours(text));
    }
    // Both kinds were among them.
    expect(stopped).toBeGreaterThan(50);
    expect(stopped).toBeLessThan(COUNT / 2);
  }, 180_000);
});
