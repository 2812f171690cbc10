import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isTreewrightError } from '../../src/core/errors.ts';
import { loadConfig } from '../../src/config/load.ts';
import { parseSetting } from '../../src/config/settings.ts';

let work: string;
let file: string;
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'tw-settings-'));
  file = join(work, 'treewright.yaml');
  await writeFile(
    file,
    'product: gateway\nmachine: board\nsource: { buildroot: ./output, kernel: Image }\noutput: ./release\n',
  );
});
afterAll(async () => rm(work, { recursive: true }));

const silent = (): void => undefined;

async function failure(...settings: string[]): Promise<string> {
  try {
    await loadConfig(file, silent, settings);
  } catch (error) {
    if (isTreewrightError(error)) return `${error.code} ${error.message}`;
    throw error;
  }
  return 'no failure';
}

describe('settings of the command line', () => {
  it('go before the file and leave what they do not name', async () => {
    const config = await loadConfig(file, silent, [
      'source.buildroot=/build/output',
      'ostree.branch=gateway/beta',
      'boot.kargs=[console=ttyS0, quiet]',
      'boot.rollback.attempts=5',
      'ostree.branch=gateway/nightly',
    ]);
    expect(config).toMatchObject({
      product: 'gateway',
      source: { kind: 'buildroot', output: '/build/output', kernel: join(work, 'Image') },
      ostree: { branch: 'gateway/nightly' },
      boot: { kargs: ['console=ttyS0', 'quiet'], rollback: { attempts: 5 } },
    });
  });

  it('keep text as it is, where the key holds text', async () => {
    expect(parseSetting('version=1.10')).toMatchObject({ path: ['version'], value: '1.10' });
    expect(parseSetting('source.buildroot=/a=b: c #d')).toMatchObject({ value: '/a=b: c #d' });
    const { version } = await loadConfig(file, silent, ['version=1.10']);
    expect(version).toEqual({ kind: 'literal', version: '1.10' });
  });

  it('are a whole configuration without a file, with paths from the current directory', async () => {
    const config = await loadConfig(false, silent, [
      'product=gateway',
      'machine=board',
      'source.buildroot=out',
    ]);
    expect(config).toMatchObject({
      file: '--set',
      source: { output: join(process.cwd(), 'out') },
      output: join(process.cwd(), 'release'),
    });
    await expect(loadConfig(false, silent, ['product=gateway'])).rejects.toMatchObject({
      code: 'config/invalid',
      message: expect.stringContaining('--set: machine is missing') as string,
    });
  });

  it('are named when they are wrong', async () => {
    expect(await failure('boot.rollback.attempts=many')).toContain(
      '--set boot.rollback.attempts=many: boot.rollback.attempts: expected',
    );
    expect(await failure('ostree.brunch=x')).toMatch(/--set ostree\.brunch=x: unknown key .*"branch"/);
    expect(await failure('boot.board=nonesuch')).toContain('--set boot.board=nonesuch: ');
    expect(await failure('product')).toMatch(/^usage\/bad-setting .*KEY=VALUE/);
    expect(await failure('product=')).toMatch(/^usage\/bad-setting .*no value/);
    expect(await failure('boot.kargs=[a')).toMatch(/^usage\/bad-setting /);
    expect(await failure('__proto__.x=1')).toMatch(/^usage\/bad-setting /);
  });
});
