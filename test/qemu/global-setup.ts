/** Runs once before the boot tests: makes QEMU, U-Boot, its sandbox and the reference tools, or notes why they cannot be had. */
import type { TestProject } from 'vitest/node';
import { prepareSuites } from '../reference/global-setup.ts';

/** vitest's entry point; answers what runs after the tests. */
export function setup(project: TestProject): Promise<() => void> {
  return prepareSuites(project, ['qemu', 'machines', 'sandbox', 'bookworm', 'trixie']);
}
