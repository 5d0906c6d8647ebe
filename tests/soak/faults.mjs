/**
 * The faults of the soak, in their order.
 *
 * @typedef {object} Fault
 * @property {string} name
 * @property {number} seconds The length of the fault.
 * @property {string[]} may Kinds of responses that visitors may get in an outage and while it ends.
 * @property {string[]} [mayPost] More such kinds for a POST. It gets 502 if a connection on its way breaks, because neither
 *   nginx nor the handler sends it again.
 * @property {boolean} [cuts] True if the fault can cut a refresh off between the provider's response and the commit of the
 *   new tokens. The next refresh of this session then sends the same refresh token.
 * @property {(world: object) => unknown} begin
 * @property {(world: object) => unknown} end
 */

/** Seconds by which the clock jumps. */
const JUMP = 180

const stopped = async (instance, signal) => {
  await instance.end(signal)
  await instance.start()
}

/** @type {Fault[]} */
export const FAULTS = [
  {
    name: 'Redis paused',
    seconds: 15,
    may: ['503'],
    begin: ({ store }) => store.pause(),
    end: ({ store }) => store.goOn(),
  },
  {
    name: 'Redis killed and restarted',
    seconds: 15,
    may: ['503'],
    begin: ({ store }) => store.kill(),
    end: ({ store }) => store.restart(),
  },
  {
    name: 'Redis failed over',
    seconds: 5,
    may: ['503'],
    cuts: true,
    begin: ({ store }) => store.kill(),
    end: ({ store }) => store.failOver(),
  },
  {
    name: 'provider killed and restarted',
    seconds: 20,
    may: ['503'],
    cuts: true,
    begin: ({ provider }) => provider.end('SIGKILL'),
    end: ({ provider }) => provider.start(),
  },
  {
    name: 'provider hanging',
    seconds: 20,
    may: ['503'],
    begin: ({ provider }) => provider.pause(),
    end: ({ provider }) => provider.goOn(),
  },
  {
    name: 'provider with 503',
    seconds: 20,
    may: ['503'],
    begin: ({ provider }) => provider.signal('SIGUSR2'),
    end: ({ provider }) => provider.signal('SIGUSR2'),
  },
  {
    name: 'instance killed and restarted',
    seconds: 15,
    may: [],
    mayPost: ['502'],
    cuts: true,
    begin: ({ instances: [first] }) => first.end('SIGKILL'),
    end: ({ instances: [first] }) => first.start(),
  },
  {
    name: 'instances restarted in turn',
    seconds: 0,
    may: [],
    mayPost: ['502'],
    begin: async ({ instances }) => {
      for (const instance of instances) await stopped(instance, 'SIGTERM')
    },
    end() {},
  },
  {
    name: 'instance suspended',
    // Longer than the lease of a refresh.
    seconds: 12,
    may: ['503'],
    mayPost: ['502'],
    cuts: true,
    begin: ({ instances: [first] }) => first.pause(),
    end: ({ instances: [first] }) => first.goOn(),
  },
  {
    name: 'API down',
    seconds: 15,
    may: ['502'],
    begin: ({ api }) => api.stop(),
    end: ({ api }) => api.start(),
  },
  {
    name: 'clock jumps three minutes ahead, and back',
    seconds: 20,
    may: [],
    begin: ({ clock }) => clock.set(JUMP),
    end: ({ clock }) => clock.set(0),
  },
  {
    name: 'clock jumps three minutes back, and ahead',
    seconds: 20,
    may: [],
    begin: ({ clock }) => clock.set(-JUMP),
    end: ({ clock }) => clock.set(0),
  },
  {
    name: 'instance restarted with a clock three minutes behind',
    seconds: 20,
    may: [],
    mayPost: ['502'],
    begin: async ({ clock, instances: [, second] }) => {
      await second.end('SIGTERM')
      await clock.set(-JUMP)
      await second.start()
    },
    end: ({ clock }) => clock.set(0),
  },
]
