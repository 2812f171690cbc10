/** Making many files durable with one call. */
import { execa } from 'execa';

let available: boolean | undefined;

/**
 * True when `sync -f` (coreutils 8.24, 2015) works: one syncfs for a whole transaction instead of an fsync for
 * each of its files, which is what libostree does too.
 */
export async function canSyncFileSystem(directory: string): Promise<boolean> {
  if (available === undefined) {
    const { failed } = await execa('sync', ['-f', directory], { reject: false, stdio: 'ignore' });
    available = !failed;
  }
  return available;
}

/** Flushes the whole file system that holds `directory`. */
export async function syncFileSystem(directory: string): Promise<void> {
  await execa('sync', ['-f', directory], { stdio: 'ignore' });
}
