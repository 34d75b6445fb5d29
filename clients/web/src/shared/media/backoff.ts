/** Waits between tries: doubling from `firstMs` to `ceilingMs`, ±20 % so that many viewers do not come back at once. */
export class Backoff {
  private tries = 0;

  constructor(
    private readonly firstMs: number,
    private readonly ceilingMs: number,
    private readonly random: () => number = Math.random,
  ) {}

  /** How long to wait before the next try. */
  nextMs(): number {
    const plain = Math.min(this.ceilingMs, this.firstMs * 2 ** this.tries);
    this.tries = Math.min(this.tries + 1, 16);
    return plain * (0.8 + 0.4 * this.random());
  }

  /** After a success. */
  reset(): void {
    this.tries = 0;
  }
}
