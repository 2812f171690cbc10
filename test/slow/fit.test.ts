/** Releases whose kernel, initramfs and device tree are one FIT image. */
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import type { Event } from '../../src/core/events.ts';
import { noEvents } from '../../src/core/events.ts';
import { decodeFit } from '../../src/formats/fit-image.ts';
import { decodeUbootImage } from '../../src/formats/uboot-image.ts';
import { assembleRelease } from '../../src/release/assemble.ts';
import { makeImage } from '../../src/release/image.ts';
import type { ReleaseReport } from '../../src/release/publish-content.ts';
import { describeReference, referenceTool, runTool } from '../reference/tools.ts';
import { programOutput } from '../support/program-output.ts';
import type { TestProject } from '../support/release.ts';
import { makeProject, prepareRelease } from '../support/release.ts';
import { writeSigningKey } from '../support/signing-key.ts';

const MODULES = '/usr/lib/modules/6.1.0-test';

describeReference('a release with boot.fit', ['ostree', 'mkimage', 'dtc'], () => {
  const path = process.env['PATH'];
  let scratch: string;
  let project: TestProject;

  beforeAll(async () => {
    process.env['PATH'] = [dirname(referenceTool('mkimage')), path].join(delimiter);
    scratch = await mkdtemp(join(tmpdir(), 'treewright-fit-release-'));
    project = await makeProject(scratch);
    await writeSigningKey(join(scratch, 'fit-keys'), 'dev');
  });

  afterAll(async () => {
    process.env['PATH'] = path;
    await rm(scratch, { recursive: true, force: true });
  });

  async function make(release: number, fit: string, events: Event[] = []): Promise<ReleaseReport> {
    const file = await prepareRelease(project, { release, programs: 2 });
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace('boot: {', `boot: { root: LABEL=root, fit: ${fit},`));
    return assembleRelease({
      config: await loadConfig(file),
      version: `${release}.0`,
      events: (event) => events.push(event),
      now: new Date(),
    });
  }

  const repo = (): string => join(project.output, 'ostree');
  async function checkout(commit: string, name: string): Promise<string> {
    const directory = join(scratch, name);
    await runTool('ostree', ['checkout', `--repo=${repo()}`, '-U', commit, directory]);
    return directory;
  }
  const bootFile = (version: string, name: string): Promise<Buffer> =>
    readFile(join(project.output, 'releases', version, 'boot', name));
  const codes = (events: readonly Event[]): string[] =>
    events.flatMap((event) => (event.type === 'diagnostic' ? [event.diagnostic.code] : []));

  test('signed: one image, an empty initramfs, no device trees, and a signed script; the same image again next time', async () => {
    const events: Event[] = [];
    const first = await make(1, '{ keys: ./fit-keys, key: dev }', events);
    const tree = await checkout(first.commit, 'first');
    const { stdout } = await runTool('ostree', ['ls', `--repo=${repo()}`, first.commit, MODULES]);
    expect([...stdout.matchAll(/\S+\/([^/\s]+)$/gm)].map(([, name]) => name).sort()).toEqual([
      '6.1.0-test',
      'initramfs.img',
      'kernel',
      'modules.dep',
      'vmlinuz',
    ]);
    expect(await readFile(join(tree, MODULES, 'initramfs.img'))).toHaveLength(0);
    const image = await readFile(join(tree, MODULES, 'vmlinuz'));
    const { images, configurations } = decodeFit(image);
    expect(configurations).toEqual([
      {
        name: 'conf-board.dtb',
        signatures: [256],
        kernel: 'kernel-1',
        ramdisk: 'ramdisk-1',
        fdt: ['fdt-board.dtb'],
      },
    ]);
    const build = (name: string): Promise<Buffer> => readFile(join(scratch, 'build-1', name));
    for (const [index, name] of ['board.dtb', 'initramfs.img', 'Image'].entries()) {
      expect(Buffer.from(images[index]?.data ?? []).equals(await build(name)), name).toBe(true);
    }
    const script = decodeFit(await bootFile('1.0', 'boot.scr'));
    expect(script.images).toMatchObject([{ name: 'script-1', type: 'script', signatures: [256] }]);
    expect(Buffer.from(script.images[0]?.data ?? [])).toEqual(await bootFile('1.0', 'boot.cmd'));
    const uEnv = (await bootFile('1.0', 'uEnv.txt')).toString();
    expect(uEnv).not.toMatch(/fdt|init=/);
    expect((await bootFile('1.0', 'boot.cmd')).toString()).toContain(
      'bootm ${ramdisk_addr_r}#${ostree_conf}',
    );
    expect(codes(events).filter((code) => /fit|kernel/.test(code))).toEqual([]);

    const second = await make(2, '{ keys: ./fit-keys, key: dev }');
    const same = await checkout(second.commit, 'second');
    expect((await readFile(join(same, MODULES, 'vmlinuz'))).equals(image)).toBe(true);
    await expectScriptOfRelease();
  });

  /** An image needs no key: its boot script is that of the newest release. */
  async function expectScriptOfRelease(): Promise<void> {
    const config = await loadConfig(join(scratch, 'treewright-2.yaml'));
    const output = join(scratch, 'root.tar');
    const keys = join(scratch, 'fit-keys');
    await rename(keys, `${keys}.away`);
    await makeImage({ config, format: 'tar', output, events: noEvents, now: new Date() });
    await rename(`${keys}.away`, keys);
    const stdout = await programOutput('tar', ['-xOf', output, './boot/boot.scr']);
    expect(Buffer.from(stdout)).toEqual(await bootFile('2.0', 'boot.scr'));
  }

  test('unsigned: hashes, a legacy script, and a note that says so', async () => {
    const events: Event[] = [];
    const { commit } = await make(3, '{}', events);
    const tree = await checkout(commit, 'third');
    const { images } = decodeFit(await readFile(join(tree, MODULES, 'vmlinuz')));
    expect(images.map(({ signatures }) => signatures)).toEqual([[], [], []]);
    expect(decodeUbootImage(await bootFile('3.0', 'boot.scr')).type).toBe('script');
    expect(codes(events)).toContain('config/fit-unsigned');
  });

  test('a FIT image of the build stays as it is, and is told of when only the script is signed', async () => {
    const release = 4;
    const fit = join(scratch, 'first', MODULES, 'vmlinuz');
    const unsigned = join(scratch, 'third', MODULES, 'vmlinuz');
    for (const [image, code] of [
      [fit, 'input/fit-of-the-build'],
      [unsigned, 'input/fit-unsigned'],
    ] as const) {
      const events: Event[] = [];
      const file = await prepareRelease(project, { release, programs: 2 });
      const text = await readFile(file, 'utf8');
      await writeFile(
        file,
        text
          .replace('boot: {', 'boot: { fit: { keys: ./fit-keys, key: dev },')
          .replace(/kernel: .*\n.*\n.*\n/, `kernel: ${image}\n`),
      );
      const { commit } = await assembleRelease({
        config: await loadConfig(file),
        version: `${release}.${code}`.replaceAll('/', '-'),
        events: (event) => events.push(event),
        now: new Date(),
      });
      expect(codes(events).filter((found) => found.startsWith('input/fit'))).toEqual([code]);
      const tree = await checkout(commit, code.replace('/', '-'));
      expect((await readFile(join(tree, MODULES, 'vmlinuz'))).equals(await readFile(image))).toBe(true);
      expect(await readFile(join(tree, MODULES, 'initramfs.img'))).toHaveLength(0);
    }
  });

  test('a key that is not there stops the release before the build is read', async () => {
    const events: Event[] = [];
    await expect(make(5, '{ keys: ./fit-keys, key: absent }', events)).rejects.toMatchObject({
      code: 'config/no-fit-key',
    });
    expect(events.filter(({ type }) => type === 'stage')).toEqual([]);
  });
});
