/** A bounded amount of something, usually memory, shared by concurrent work. */
export interface Budget {
  /** Takes at once when there is room; a request beyond the whole budget is served when nothing else is held. */
  take(amount: number): boolean;
  wait(amount: number): Promise<void>;
  give(amount: number): void;
}

/** A budget of `total`; waiters are served in order. */
export function createBudget(total: number): Budget {
  let held = 0;
  const waiting: { amount: number; resolve: () => void }[] = [];
  const fits = (amount: number): boolean => held === 0 || held + amount <= total;
  return {
    take: (amount) => {
      if (waiting.length > 0 || !fits(amount)) return false;
      held += amount;
      return true;
    },
    wait: (amount) =>
      new Promise((resolve) => {
        if (fits(amount) && waiting.length === 0) {
          held += amount;
          resolve();
        } else {
          waiting.push({ amount, resolve });
        }
      }),
    give: (amount) => {
      held -= amount;
      for (let next = waiting[0]; next !== undefined && fits(next.amount); next = waiting[0]) {
        waiting.shift();
        held += next.amount;
        next.resolve();
      }
    },
  };
}
