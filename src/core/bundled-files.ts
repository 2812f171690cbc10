/** Files of the package that the single-file bundle carries in itself. */

/**
 * By name in the package, such as `configs/boards/qemu-arm.yaml`. Undefined in a checkout and in the npm package, which
 * have the files on disk; `npm run bundle` puts a module with the files in the place of this one.
 */
export const BUNDLED_FILES: ReadonlyMap<string, string> | undefined = undefined;
