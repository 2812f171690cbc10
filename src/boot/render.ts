/** The files of a boot plan, as they go into a release. */
import { utf8 } from '../core/bytes.ts';
import { encodeScriptImage } from '../formats/uboot-image.ts';
import { renderFwEnvConfig } from './board.ts';
import { makeScriptFit } from './fit/script.ts';
import { renderBootScript } from './boot-script.ts';
import type { BootPlan } from './plan.ts';

/**
 * Relative path → bytes: `uEnv.txt` and `loader/entries/*.conf` as in boot/loader.N on the device, `boot.cmd`,
 * `boot.scr`, and `fw_env.config` when the place of the environment is known. The same plan gives the same bytes.
 * A plan with a signature needs `mkimage`: errors are those of `makeFit`.
 */
export async function renderBoot(plan: BootPlan): Promise<Map<string, Uint8Array>> {
  const { board, rollback, signing, timestamp: time } = plan;
  const script = utf8(renderBootScript(board, rollback, { signed: signing !== undefined }));
  const files = renderLoader(plan);
  files.set('boot.cmd', script);
  files.set(
    'boot.scr',
    signing === undefined
      ? encodeScriptImage({ script, name: 'OSTree boot script', arch: board.arch, time })
      : await makeScriptFit({ script, arch: board.arch, signing, time }),
  );
  const fwEnv = renderFwEnvConfig(board.environment);
  if (fwEnv !== undefined) files.set('fw_env.config', utf8(fwEnv));
  return files;
}

/** The part of it that depends on what was deployed before: `uEnv.txt` and `loader/entries/*.conf`. */
export function renderLoader(plan: BootPlan): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>([['uEnv.txt', utf8(plan.uEnv)]]);
  for (const { fileName, text } of plan.entries) files.set(`loader/entries/${fileName}`, utf8(text));
  return files;
}
