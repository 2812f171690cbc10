/** A release for a board that starts from extlinux.conf, and the image of it. */
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EXTLINUX_LINKS } from '../../src/boot/extlinux.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { Diagnostic } from '../../src/core/diagnostics.ts';
import { assembleRelease } from '../../src/release/assemble.ts';
import { explainRelease } from '../../src/release/explain.ts';
import { makeImage } from '../../src/release/image.ts';
import type { TestProject } from '../support/release.ts';
import { makeProject, prepareRelease } from '../support/release.ts';
import { asRoot } from '../boot/image/sysroots.ts';

describe('a release with boot.loader: extlinux', () => {
  let directory: string;
  let project: TestProject;
  const found: Diagnostic[] = [];

  const release = async (version: 1 | 2, loader: string): Promise<string> => {
    const file = await prepareRelease(project, {
      release: version,
      extra: 'deltas: { from-nothing: false }\ndevice: { scripts: true }\n',
    });
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace('boot: {', `boot: { loader: ${loader}, root: LABEL=root,`));
    await assembleRelease({
      config: await loadConfig(file),
      version: `${version}.0`,
      events: (event) => {
        if (event.type === 'diagnostic') found.push(event.diagnostic);
      },
      now: new Date(),
    });
    return file;
  };

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'extlinux-'));
    project = await makeProject(directory);
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  test('has extlinux.conf and no script, says what rollback it has, and its image has the links', async () => {
    await release(1, 'extlinux');
    const file = await release(2, 'extlinux');
    const boot = join(project.output, 'releases/2.0/boot');
    expect((await readdir(boot)).sort()).toEqual(['extlinux.conf', 'loader', 'plan.json', 'update']);
    const titles = async (path: string): Promise<string[]> =>
      [...(await readFile(join(boot, path), 'utf8')).matchAll(/^(DEFAULT|LABEL) .*(\(.*\))$/gm)].map(
        ([, word, index]) => `${word ?? ''} ${index ?? ''}`,
      );
    expect(await titles('extlinux.conf')).toEqual(['DEFAULT (ostree:0)', 'LABEL (ostree:0)']);
    expect(await titles('update/extlinux.conf')).toEqual([
      'DEFAULT (ostree:0)',
      'LABEL (ostree:0)',
      'LABEL (ostree:1)',
    ]);
    expect(found).toContainEqual(
      expect.objectContaining({ severity: 'warning', code: 'config/extlinux-rollback' }),
    );
    const manifest = JSON.parse(
      await readFile(join(project.output, 'releases/2.0/release.json'), 'utf8'),
    ) as object;
    expect(manifest).toMatchObject({ boot: { loader: 'extlinux' } });

    const explained = await explainRelease({
      config: await loadConfig(file),
      events: () => undefined,
      now: new Date(),
    });
    // Nothing counts, so that the newest one starts again and again.
    expect(new Set(explained.boots.map(({ version }) => version))).toEqual(new Set(['2.0']));
    expect(explained.boots[1]?.loads.map(({ what }) => what)).toEqual(['device tree', 'initramfs', 'kernel']);

    // The image follows the release, whatever the configuration has become since.
    await writeFile(file, (await readFile(file, 'utf8')).replace('loader: extlinux', 'loader: u-boot'));
    const output = join(directory, 'root.tar');
    const config = await loadConfig(file);
    await makeImage({ config, format: 'tar', output, events: () => undefined, now: new Date() });
    const listed = await asRoot('tar', '-t', '-v', '-f', output, '--wildcards', './boot/*');
    for (const { path, target } of EXTLINUX_LINKS) expect(listed).toContain(`./${path} -> ${target}`);
    expect(listed).toContain('./boot/loader.1/syslinux.cfg');
    expect(listed).not.toMatch(/boot\.scr|uEnv\.txt/);
    // Nobody counts, so the update client leaves the environment alone.
    const settings = '*.0/etc/treewright/update.conf';
    expect(await asRoot('tar', '-x', '-O', '-f', output, '--wildcards', settings)).toMatch(
      /^COUNTING=none$/m,
    );
  });
});
