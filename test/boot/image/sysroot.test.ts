/** The physical root of a device, beside the one that the real `ostree admin` commands make of the same commit. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Checksum } from '../../../src/core/checksum.ts';
import { describeReference, runTool } from '../../reference/tools.ts';
import type { Entry } from './sysroots.ts';
import { SKELETON, TREES, URL, d, expectSameRoots, f } from './sysroot-trees.ts';
import { commitEntries, isRoot, look, makeTheirs, ourSysroot, unpackOurs } from './sysroots.ts';

let directory: string;
let repo: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sysroot-'));
  repo = join(directory, 'repo');
});

afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

describeReference(
  'the physical root equals that of ostree admin',
  ['ostree', 'trixie:ostree', 'getfattr'],
  () => {
    let commits: Map<string, Checksum>;

    beforeAll(async () => {
      await runTool('ostree', ['init', `--repo=${repo}`, '--mode=archive']);
      commits = new Map();
      for (const [i, { name, entries }] of TREES.entries()) {
        const tar = entries.some(({ path }) => path === '') ? entries : [d(''), ...entries];
        commits.set(name, await commitEntries(repo, `tree/${i}`, tar, directory));
      }
    });

    describe.each(['bookworm', 'trixie'] as const)('%s', (suite) => {
      test.each(TREES.map(({ name }, i) => ({ name, i })))('$name', async ({ name, i }) => {
        const commit = commits.get(name) as Checksum;
        await expectSameRoots({ directory, name: String(i), suite, repo, commit, branch: `tree/${i}` });
      });
    });

    // Only root may set the flag, and a file system in memory may not have it.
    test.runIf(isRoot)(
      'the immutable flag is on the directories that libostree makes immutable',
      async () => {
        const commit = commits.get(TREES[0]?.name ?? '') as Checksum;
        const real = join(directory, 'immutable');
        await makeTheirs(real, {
          suite: 'trixie',
          repo,
          branch: 'tree/0',
          url: URL,
          env: { OSTREE_SYSROOT_DEBUG: '' },
        });
        const immutable = execFileSync('lsattr', ['-R', '-a', real], {
          encoding: 'utf8',
          // It complains about each symlink.
          stdio: ['ignore', 'pipe', 'ignore'],
        })
          .split('\n')
          .filter((line) => /^\S*i\S* /.test(line))
          .map((line) => line.replace(/^\S+ +/, ''))
          .filter((path) => !path.endsWith('/.') && !path.endsWith('/..'));
        try {
          const { tree, immutable: ours } = await ourSysroot({
            suite: 'trixie',
            repo,
            commit,
            branch: 'tree/0',
          });
          const paths: string[] = [];
          const visit = (node: typeof tree.root, path: string): void => {
            if (ours.has(node)) paths.push(path);
            for (const [name, child] of node.entries) {
              if (child.kind === 'directory') visit(child, `${path}/${name}`);
            }
          };
          visit(tree.root, real);
          expect(immutable).toEqual(paths);
        } finally {
          if (immutable.length > 0) execFileSync('chattr', ['-i', ...immutable]);
        }
      },
    );

    test('what libostree does not deploy, or not as files, is refused', async () => {
      const cases: ['bookworm' | 'trixie', string, Entry[], string][] = [
        [
          'trixie',
          'etc only',
          [...SKELETON.filter(({ path }) => !path.startsWith('usr/etc')), f('etc/x', 'x')],
          'input/no-usr-etc',
        ],
        ['trixie', 'both', [...SKELETON, f('etc/x', 'x')], 'input/etc-and-usr-etc'],
        ['bookworm', 'empty etc', [...SKELETON, d('etc')], 'input/etc-and-usr-etc'],
        ['trixie', 'whiteout', [...SKELETON, f('usr/lib/.ostree-wh.gone', '')], 'input/whiteout'],
      ];
      for (const [i, [suite, name, entries, code]] of cases.entries()) {
        const branch = `refused/${i}`;
        const commit = await commitEntries(repo, branch, entries, directory);
        await expect(ourSysroot({ suite, repo, commit, branch }), name).rejects.toMatchObject({
          code,
        });
        const real = join(directory, `refused-${i}`);
        // A device node, which root of a user namespace cannot make.
        if (name === 'whiteout' && !isRoot) continue;
        const deployed = makeTheirs(real, { suite, repo, branch, url: URL });
        if (name === 'whiteout') {
          await deployed;
          const kinds = [...(await look(real))].filter(([path]) => path.endsWith('/gone'));
          expect(kinds.map(([, { kind }]) => kind)).toEqual(['other']);
        } else {
          await expect(deployed, name).rejects.toThrow(/etc/);
        }
      }
    });

    test('the tar is the same bytes each time', async () => {
      const commit = commits.get('random tree 11') as Checksum;
      const archives: Buffer[] = [];
      for (const name of ['one', 'two']) {
        const root = join(directory, name);
        await unpackOurs(root, { suite: 'trixie', repo, commit, branch: 'tree/4' });
        archives.push(await readFile(`${root}.tar`));
      }
      expect(archives[0]?.equals(archives[1] ?? Buffer.of())).toBe(true);
    });
  },
);
