/** Which deltas a release gets, and which of them are worth publishing. */
import type { Checksum } from '../core/checksum.ts';
import { generateDelta } from '../delta/generate.ts';
import { writeDeltaIndexes } from '../delta/list.ts';
import type { DeltaInfo } from '../delta/generate.ts';
import { openStore } from '../platform/store.ts';
import { readMetadata } from '../repo/read.ts';
import type { ManifestDelta } from './manifest.ts';
import { removeDelta } from './repository-step.ts';
import type { ReleaseSession } from './session.ts';

/** Builds the deltas to `commit` that the configuration asks for; what does not pay is removed and told. */
export async function buildDeltas(session: ReleaseSession, commit: Checksum): Promise<ManifestDelta[]> {
  const { config, repo, pool, events, releases } = session;
  const { from, fromNothing, maxRatio } = config.deltas;
  const earlier = releases.filter(
    ({ branch, commit: other }) => branch === config.ostree.branch && other !== commit,
  );
  const chosen = from.last === 0 ? [] : earlier.slice(-from.last).reverse();
  if (chosen.length > 0 || fromNothing)
    events({ type: 'stage', stage: 'delta', title: 'Building static deltas' });

  const deltas: ManifestDelta[] = [];
  for (const release of chosen) {
    if (!(await isStored(repo, release.commit))) {
      events({
        type: 'diagnostic',
        diagnostic: {
          severity: 'warning',
          code: 'input/missing-commit',
          message: `no delta from ${release.version}: its commit ${release.commit} is no longer in ${repo}`,
        },
      });
      continue;
    }
    const info = await generateDelta({ repo, from: release.commit, to: commit, pool, events });
    if (info.bytes <= info.looseBytes * maxRatio) {
      deltas.push({ ...toManifest(info), fromVersion: release.version });
      continue;
    }
    await removeDelta(repo, info.path);
    events({
      type: 'diagnostic',
      diagnostic: {
        severity: 'note',
        code: 'input/delta-too-large',
        message:
          `no delta from ${release.version}: it would have ${info.bytes} bytes where the objects have ` +
          `${info.looseBytes}, more than the ratio of ${maxRatio} allowed by deltas.max-ratio`,
      },
    });
  }
  if (fromNothing) {
    deltas.push(toManifest(await generateDelta({ repo, to: commit, pool, events })));
  }
  await writeDeltaIndexes(repo);
  events({
    type: 'done',
    stage: 'delta',
    summary: `${deltas.length} delta${deltas.length === 1 ? '' : 's'} built`,
  });
  return deltas;
}

async function isStored(repo: string, commit: Checksum): Promise<boolean> {
  try {
    await readMetadata(openStore(repo), commit, 'commit');
    return true;
  } catch {
    return false;
  }
}

function toManifest(info: DeltaInfo): ManifestDelta {
  return {
    ...(info.from === undefined ? {} : { from: info.from }),
    path: info.path,
    superblock: { size: info.superblock.size, sha256: info.superblock.sha256 },
    parts: info.parts.map(({ size, sha256 }) => ({ size, sha256 })),
    fallbacks: info.fallbacks.map(({ checksum, size }) => ({ checksum, size })),
    bytes: info.bytes,
    looseBytes: info.looseBytes,
  };
}
