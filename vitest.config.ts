import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/reference/global-setup.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // The differential tests keep both cores busy by themselves.
    maxWorkers: 2,
    pool: 'forks',
  },
});
