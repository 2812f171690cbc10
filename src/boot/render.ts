/** The files of a boot plan, as they go into a release. */
import { utf8 } from '../core/bytes.ts';
import { encodeScriptImage } from '../formats/uboot-image.ts';
import { renderFwEnvConfig } from './board.ts';
import { makeScriptFit } from './fit/script.ts';
import { renderBootScript } from './boot-script.ts';
import type { BootPlan } from './plan.ts';

/**
 * Relative path → bytes: `uEnv.txt` and `loader/entries/*.conf` as in boot/loader.N on the device, `boot.cmd`,
 * `boot.scr`, and `fw_env.config` when the place of the environment is known. With extlinux, `extlinux.conf` stands in
 * the place of `uEnv.txt` and of the script. The same plan gives the same bytes.
 * A plan with a signature needs `mkimage`: errors are those of `makeFit`.
 */
export async function renderBoot(plan: BootPlan): Promise<Map<string, Uint8Array>> {
  const { board, loader, rollback, signing, timestamp: time } = plan;
  const files = renderLoader(plan);
  if (loader === 'u-boot') {
    const script = utf8(renderBootScript(board, rollback, { signed: signing !== undefined }));
    files.set('boot.cmd', script);
    files.set(
      'boot.scr',
      signing === undefined
        ? encodeScriptImage({ script, name: 'OSTree boot script', arch: board.arch, time })
        : await makeScriptFit({ script, arch: board.arch, signing, time }),
    );
  }
  const kept = loader === 'u-boot' || rollback.counting !== 'none';
  const fwEnv = kept ? renderFwEnvConfig(board.environment) : undefined;
  if (fwEnv !== undefined) files.set('fw_env.config', utf8(fwEnv));
  return files;
}

/** The part of it that depends on what was deployed before: uEnv.txt or extlinux.conf, and `loader/entries/*.conf`. */
export function renderLoader(plan: BootPlan): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  if (plan.uEnv !== undefined) files.set('uEnv.txt', utf8(plan.uEnv));
  if (plan.extlinux !== undefined) files.set('extlinux.conf', utf8(plan.extlinux));
  for (const { fileName, text } of plan.entries) files.set(`loader/entries/${fileName}`, utf8(text));
  return files;
}
