// Checks what the compiler cannot: that the crates of `src`, the modules of `src/rules` and the folders of `pkg/src`
// depend only on what the floor plan in ARCHITECTURE.md allows, that only the floors named there read secrets or touch
// the platform, and that the parts of the vault and of the token handler depend only on the parts below them in the lists
// of `src/vault/lib.rs` and `src/edge/lib.rs`.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { posix } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const root = new URL('../../', import.meta.url)

/** Resolves with the rows of ARCHITECTURE.md that `row` matches, as a map from its first group to its second. */
const rows = async (row) => {
  const text = await readFile(new URL('ARCHITECTURE.md', root), 'utf8')
  return new Map([...text.matchAll(row)].map(([, first, second]) => [first, second]))
}

/** Resolves with the modules of the crate `rules` in the floor plan, each with the modules that it may depend on. */
const modules = () => rows(/^\| `src\/rules\/(\w+)` \|.*\| (.+) \|$/gm)

/** Resolves with the other crates of `src` in the floor plan, each with the crates that it may depend on. */
const crates = () => rows(/^\| `src\/((?!rules\/)[\w/]+)` \|.*\| (.+) \|$/gm)

/** Resolves with the sources of a floor: of a module of the crate `rules`, or of another crate. */
const sources = async (floor) => {
  const isModule = (await modules()).has(floor)
  const folder = isModule ? `src/rules/${floor}` : `src/${floor}`
  const below = await readdir(new URL(folder, root), { recursive: true })
  const files = below
    .filter((file) => file.endsWith('.rs'))
    .map((file) => `${folder}/${file}`)
    .filter((file) => floor === 'edge/module' || !file.startsWith('src/edge/module/'))
  if (isModule) files.push(`${folder}.rs`)
  return Promise.all(files.map(async (file) => [file, await readFile(new URL(file, root), 'utf8')]))
}

/** Returns a source without its comments, its tests, and the visibility of its items. */
const codeOf = (source) =>
  source
    .replace(/^#\[cfg\(test\)\]\n(?:#.*\n)*.*(?:;|\{\n(?:.*\n)*?\})$/gm, '')
    .replace(/^\s*\/\/.*$/gm, '')
    .replace(/\bpub\([^)]*\)/g, 'pub')

/** Matches a group of paths that contains no other group. */
const GROUP = /((?:\w+::)+)\{([^{}]*)\}/

/** Returns code in which each group of paths is a list of whole paths. */
const withoutGroups = (code) => {
  const whole = code.replace(GROUP, (_, start, group) => {
    const ends = group.match(/[^\s,][^,]*/g) ?? []
    return ends.map((end) => start + end).join(', ')
  })
  return whole === code ? code : withoutGroups(whole)
}

/** Returns the paths in the code of a file that begin with `crate`, `self` or `super`, from the crate's root. */
const pathsOf = (file, source) => {
  const module = file.replace(/^src\/(rules|vault|edge\/module|edge|browser|wasm)\/|\/?lib\.rs$|\.rs$/g, '')
  const place = module.split('/').filter(Boolean)
  const paths = withoutGroups(codeOf(source)).match(/\b(?:crate|self|super)::(?:\w+::)*[\w*]*/g) ?? []
  return paths.map((path) => {
    const names = path.split('::')
    const rest = names.filter((name) => /^(?!(?:crate|self|super)$)\w/.test(name))
    if (names[0] === 'crate') return rest
    const ups = names.filter((name) => name === 'super').length
    return [...place.slice(0, place.length - ups), ...rest]
  })
}

/** Returns the modules of the crate's root that a file names, without its comments and tests. */
const imported = (file, source) => pathsOf(file, source).flatMap(([first]) => first ?? [])

/** Returns the modules of the crate `rules` that a file of it uses against the plan. */
const forbidden = (plan, file, source) => {
  const [, module] = /^src\/rules\/(\w+)/.exec(file)
  const allowed = plan.get(module).match(/`\w+`/g) ?? []
  return imported(file, source).filter(
    (name) => plan.has(name) && name !== module && !allowed.includes(`\`${name}\``),
  )
}

test('each module of the rules depends on the modules that the floor plan allows', async () => {
  const plan = await modules()
  assert.ok(plan.size > 6)
  let count = 0
  for (const module of plan.keys()) {
    for (const [file, source] of await sources(module)) {
      assert.deepEqual(forbidden(plan, file, source), [], file)
      count += imported(file, source).length
    }
  }
  assert.ok(count > 300)
})

test('control: an import against the plan is found', async () => {
  const plan = await modules()
  const found = (source) => forbidden(plan, 'src/rules/oauth/jwt.rs', source)
  assert.deepEqual(found('use crate::base::strings;\nuse crate::config::Flow;'), ['config'])
  assert.deepEqual(found('use crate::{Error, session::Session};'), ['session'])
  assert.deepEqual(found('fn a(flow: &crate::config::Flow) {}'), ['config'])
  assert.deepEqual(found('use super::super::config::Flow;\nuse super::jwks;'), ['config'])
  assert.deepEqual(found('// crate::session\n#[cfg(test)]\nmod tests {\n    use crate::config::Flow;\n}'), [])
})

/** Resolves with the crates of this repository, as Cargo reads their manifests. */
const packages = async () => {
  const options = ['metadata', '--no-deps', '--locked', '--format-version', '1']
  const { stdout } = await promisify(execFile)('cargo', options, {
    cwd: fileURLToPath(root),
    maxBuffer: 2 ** 26,
  })
  return JSON.parse(stdout).packages
}

/** Returns the crates of this repository that a crate depends on, except in its tests. */
const dependencies = (name, all) => {
  const ours = new Map(
    all.map((one) => [one.name, one.manifest_path.replace(/^.*\/src\/|\/Cargo\.toml$/g, '')]),
  )
  const { dependencies } = all.find((one) => ours.get(one.name) === name)
  return dependencies.filter(({ kind }) => kind !== 'dev').flatMap((one) => ours.get(one.name) ?? [])
}

test('each crate depends on the crates that the floor plan allows', async () => {
  const plan = await crates()
  assert.deepEqual([...plan.keys()], ['vault', 'edge', 'wasm', 'browser', 'edge/module'])
  const all = await packages()
  for (const [crate, allowed] of [...plan, ['rules', 'nothing']]) {
    const names = [...allowed.matchAll(/`(\w+)`/g)].map(([, name]) => name)
    assert.deepEqual(dependencies(crate, all).toSorted(), names.toSorted(), crate)
  }
})

test('control: a dependency of a crate is found by its real name, of any kind except those of tests', () => {
  const crate = (name, dependencies = []) => ({
    name: `strongroom-${name}`,
    manifest_path: `/x/src/${name}/Cargo.toml`,
    dependencies,
  })
  const found = (dependency) => dependencies('vault', [crate('edge'), crate('vault', [dependency])])
  assert.deepEqual(found({ name: 'strongroom-edge', kind: null }), ['edge'])
  assert.deepEqual(found({ name: 'strongroom-edge', rename: 'x', kind: 'build', target: 'cfg(unix)' }), [
    'edge',
  ])
  assert.deepEqual(found({ name: 'strongroom-edge', kind: 'dev' }), [])
  assert.deepEqual(found({ name: 'url', kind: null }), [])
})

/** What the configuration of the vault must not use, although the rest of the vault does. */
const FOREIGN_TO_CONFIG = /\bexpose\b|\brules::(?:login|session)\b/g

/** What hosts may use of the rules. Sessions, logins and identities are created by the machines alone. */
const FOR_HOSTS = /^rules::(?:base|codec|egress|prelude|oauth::(?:dpop|jwks|pkce)|Secret|Error|Code|Result)\b/

/** Returns the paths of the crate `rules` in code. */
const pathsOfRules = (source) => withoutGroups(codeOf(source)).match(/\brules::(?:\w+::)*[\w*]*/g) ?? []

test('the configuration of the vault neither reads secrets nor knows logins and sessions', async () => {
  const files = (await sources('vault')).filter(([file]) => /^src\/vault\/config\b/.test(file))
  assert.ok(files.length > 5)
  for (const [file, source] of files) {
    assert.deepEqual(withoutGroups(codeOf(source)).match(FOREIGN_TO_CONFIG) ?? [], [], file)
  }
  assert.deepEqual('use rules::session::Session; secret.expose()'.match(FOREIGN_TO_CONFIG), [
    'rules::session',
    'expose',
  ])
})

test('hosts use only what the rules have for hosts', async () => {
  let count = 0
  for (const crate of ['browser', 'edge/module']) {
    for (const [file, source] of await sources(crate)) {
      const paths = pathsOfRules(source)
      assert.deepEqual(
        paths.filter((path) => !FOR_HOSTS.test(path)),
        [],
        file,
      )
      count += paths.length
    }
  }
  assert.ok(count > 30)
  const found = pathsOfRules(
    'use rules::{base::clock, session::Session};\nfn f(it: rules::oauth::identity::Identity) {}',
  )
  assert.deepEqual(
    found.filter((path) => !FOR_HOSTS.test(path)),
    ['rules::session::Session', 'rules::oauth::identity::Identity'],
  )
})

/** Returns the public functions of some sources that no code uses, in none of `all` sources. */
const unused = (some, all) => {
  const words = new Map()
  for (const word of all.flatMap((source) => codeOf(source).match(/\w+/g) ?? [])) {
    words.set(word, (words.get(word) ?? 0) + 1)
  }
  const names = some.flatMap((source) => [...codeOf(source).matchAll(/\bpub (?:const |async )*fn (\w+)/g)])
  return names.map(([, name]) => name).filter((name) => words.get(name) === 1)
}

test('each public function of the rules is used', async () => {
  const floors = [...(await modules()).keys(), ...(await crates()).keys()]
  const read = async (some) => (await Promise.all(some.map(sources))).flat().map(([, source]) => source)
  // The compiler warns of unused functions of one crate only.
  assert.deepEqual(unused(await read([...(await modules()).keys()]), await read(floors)), [])
})

test('control: an unused function is found', () => {
  const own = 'pub fn a() { b() }\npub const fn b() {}\n/// See [`c`].\npub(crate) fn c() {}\n'
  const tests = '#[cfg(test)]\nmod tests {\n    fn f() { c() }\n}\n'
  assert.deepEqual(unused([own], [own + tests, 'fn f() { a() }']), ['c'])
})

test('the floor plan has no cycle', async () => {
  for (const [plan, below] of [
    [await modules(), []],
    [await crates(), ['rules']],
  ]) {
    const above = new Set(below)
    for (const [floor, allowed] of plan) {
      for (const [, name] of allowed.matchAll(/`(\w+)`/g)) assert.ok(above.has(name), `${floor} uses ${name}`)
      above.add(floor)
    }
  }
})

/** What the platform offers to Rust: the standard library, JavaScript, and random numbers. */
const PLATFORM = /\b(?:std|getrandom|js_sys|web_sys|wasm_bindgen|wasm)::|\bextern "C"|\bwasm32::/g

/** The files of floors below the hosts that may use the platform, each with the start of what it may use. */
const EXCEPTIONS = { 'src/rules/codec/url.rs': 'web_sys::' }

/** Returns the uses of the platform in a file below the hosts, except those that the file may have. */
const platformUses = (file, source) => {
  const found = withoutGroups(codeOf(source)).match(PLATFORM) ?? []
  return found.filter((use) => use !== EXCEPTIONS[file])
}

const exposes = (source) => /\bexpose\b/.test(codeOf(source).replace('pub fn expose(', ''))

test('only the floors that may read secrets or touch the platform do so', async () => {
  const reads = await rows(/^\| (`[\w/]+`(?:, `[\w/]+`)*) \| (yes|no)\b.*\|.*\|$/gm)
  const touches = await rows(/^\| (`[\w/]+`(?:, `[\w/]+`)*) \| (?:yes|no)\b.*\| (yes|no)\b.*\|$/gm)
  const named = [...touches.keys()].flatMap((floors) => floors.match(/[\w/]+/g))
  assert.deepEqual(named.toSorted(), [...(await modules()).keys(), ...(await crates()).keys()].toSorted())
  for (const floors of touches.keys()) {
    for (const floor of floors.match(/[\w/]+/g)) {
      const files = await sources(floor)
      const reading = files.filter(([, source]) => exposes(source)).map(([file]) => file)
      if (reads.get(floors) === 'no') assert.deepEqual(reading, [])
      else assert.notEqual(reading.length, 0, floor)
      const touching = files.filter(([file, source]) => platformUses(file, source).length)
      if (touches.get(floors) === 'no') assert.deepEqual(Object.fromEntries(touching), {})
      else assert.notEqual(touching.length, 0, floor)
    }
  }
})

test('the root of the rules and the prelude neither read secrets nor touch the platform', async () => {
  for (const file of ['src/rules/lib.rs', 'src/rules/prelude.rs']) {
    const source = await readFile(new URL(file, root), 'utf8')
    assert.deepEqual([exposes(source), platformUses(file, source)], [false, []], file)
  }
})

test('control: a clock, a random number and a read secret are found', () => {
  const found = (source, file = 'src/rules/oauth/jwt.rs') => platformUses(file, source)
  assert.deepEqual(found('fn now() -> f64 {\n    js_sys::Date::now()\n}'), ['js_sys::'])
  assert.deepEqual(found('use std::time::Instant;'), ['std::'])
  assert.deepEqual(found('fn f() { wasm::fill_random(&mut [0]) }'), ['wasm::'])
  assert.deepEqual(found('fn f() { getrandom::fill(&mut [0]) }'), ['getrandom::'])
  assert.deepEqual(found('web_sys::Url::new(text)', 'src/rules/codec/url.rs'), [])
  assert.deepEqual(found('js_sys::Date::now()', 'src/rules/codec/url.rs'), ['js_sys::'])
  assert.deepEqual(found('// std::time\n#[cfg(test)]\nmod tests {\n    use std::time::Instant;\n}'), [])
  assert.ok(exposes('fn f(token: &Secret) { g(token.expose()) }'))
  assert.ok(exposes('token.map(Secret::expose)'))
  assert.ok(!exposes('/// See [`Secret::expose`].\npub fn expose(&self) -> &str {}'))
})

/** Resolves with the folders and files of `pkg/src` in the floor plan, each with what it may import. */
const packagePlan = () => rows(/^\| `pkg\/src\/([\w.-]+)` \|.*\| (.+) \|$/gm)

/**
 * Returns what a file of `pkg/src` imports against the plan. A name in the plan stands for a file and for all files in a
 * folder of this name.
 */
const forbiddenImports = (folders, file, source) => {
  const [folder] = file.split('/')
  const allowed = [`\`${folder}\``, ...(folders.get(folder).match(/`[\w/-]+`/g) ?? [])]
  const code = source.replace(/\/\*[^]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')
  const names = [...code.matchAll(/\b(?:from|import) ?\(?'(\.[^']*)'/g)].map(([, name]) =>
    posix.join('src', posix.dirname(file), name).replace(/^src\/|\.js$/g, ''),
  )
  return names.filter((name) => !allowed.some((one) => `${name}/`.startsWith(`${one.slice(1, -1)}/`)))
}

test('each folder of pkg/src imports what the floor plan allows', async () => {
  const folders = await packagePlan()
  const entries = await readdir(new URL('pkg/src', root))
  assert.deepEqual([...folders.keys()].toSorted(), [...new Set([...entries, 'generated'])].toSorted())
  const files = await readdir(new URL('pkg/src', root), { recursive: true })
  let count = 0
  for (const file of files.filter((name) => name.endsWith('.ts'))) {
    const source = await readFile(new URL(`pkg/src/${file}`, root), 'utf8')
    assert.deepEqual(forbiddenImports(folders, file, source), [], file)
    count++
  }
  assert.ok(count > 80)
})

test('control: an import against the plan is found in pkg/src', async () => {
  const folders = await packagePlan()
  const found = (source, file = 'page/auth/auth.ts') => forbiddenImports(folders, file, source)
  assert.deepEqual(found("import { start } from '../../../glue/strongroom.js'"), ['glue/strongroom'])
  assert.deepEqual(found("import '../../worker/worker.js'"), ['worker/worker'])
  assert.deepEqual(found("const a = await import('../../edge/host.js')"), ['edge/host'])
  assert.deepEqual(
    found("import { a } from '../connect.js'\nimport { b } from '../../protocol/messages.js'"),
    [],
  )
  assert.deepEqual(found("import { a } from '../../../glue/constants.js'"), [])
  assert.deepEqual(
    found("/** import { a } from '../../worker/worker.js' */\n// from '../../edge/host.js'"),
    [],
  )
  assert.deepEqual(found("import { a } from '../page/connect.js'", 'worker/worker.ts'), ['page/connect'])
  assert.deepEqual(found("import { a } from '../page/connect.js'", 'headers/index.ts'), ['page/connect'])
})

/** The crates whose parts have an order: the list in the documentation of `lib.rs`, from top to bottom. */
const ORDERED = ['vault', 'edge']

/** Returns the parts in the list of a module's documentation, in order. */
const listed = (source) => {
  const items = source.match(/^\/\/! - .*(?:\n\/\/! {3}.*)*/gm) ?? []
  return items.flatMap((item) =>
    [...item.matchAll(/(?:- |\. |\.\n\/\/! {3})`(\w+)`:/g)].map(([, name]) => name),
  )
}

/**
 * Returns what a file of a part uses of its crate although it is not below the part: parts above, and items of the
 * crate's root.
 */
const upwards = (order, file, source) => {
  const [, part] = /^src\/\w+\/(\w+)/.exec(file)
  const below = order.slice(order.indexOf(part))
  return pathsOf(file, source)
    .map(([name = 'crate']) => name)
    .filter((name) => !below.includes(name))
}

for (const folder of ORDERED) {
  test(`each part of src/${folder} uses only parts below it`, async () => {
    const all = await sources(folder)
    const [, own] = all.find(([file]) => file === `src/${folder}/lib.rs`)
    const files = all.filter(([file]) => file !== `src/${folder}/lib.rs`)
    const order = listed(own)
    const parts = [...codeOf(own).matchAll(/^(?:pub )?mod (\w+);/gm)].map(([, name]) => name)
    assert.deepEqual(order.toSorted(), parts.toSorted(), 'the list is complete')
    let count = 0
    for (const [file, source] of files) {
      assert.deepEqual(upwards(order, file, source), [], file)
      count += pathsOf(file, source).length
    }
    assert.ok(count > 100)
  })
}

test('the list of parts is read in its order', () => {
  const order = listed('//! - `a`: first. `b`: second, see `x`.\n//!   `c`: third.\n//! - `d`: last.\nmod a;')
  assert.deepEqual(order, ['a', 'b', 'c', 'd'])
})

test('control: a use of a part above, or of the file above all parts, is found', () => {
  const found = (source, file = 'src/edge/c.rs') => upwards(['a', 'b', 'c', 'd'], file, source)
  const below = 'src/edge/c/e.rs'
  assert.deepEqual(found('use crate::b::B;\nuse crate::d::D;\nuse crate::c::C;'), ['b'])
  assert.deepEqual(found('use crate::{c::C, a, d::{self, b}};'), ['a'])
  assert.deepEqual(found('use crate::{\n    b::B,\n    d,\n};'), ['b'])
  assert.deepEqual(found('fn f(b: &crate::b::B) {}'), ['b'])
  assert.deepEqual(found('use super::b;\npub(super) use self::e::E;'), ['b'])
  assert.deepEqual(found('use super::super::b;\nuse super::C;', below), ['b'])
  assert.deepEqual(found('use super::{C, super::{a, d}};', below), ['a'])
  assert.deepEqual(found('use crate::Handler;\nuse crate::*;'), ['Handler', 'crate'])
  assert.deepEqual(found('use super::*;'), ['crate'])
  assert.deepEqual(found('#[cfg(test)]\nmod tests {\n    f();\n}\n\nuse super::a;'), ['a'])
})

test('control: doc links, tests and visibility are not uses', () => {
  const found = (source) => upwards(['a', 'b'], 'src/edge/b.rs', source)
  assert.deepEqual(found('/// See [`a`](crate::a) and [`super::a::f`].\nfn f() {}'), [])
  assert.deepEqual(found('#[cfg(test)]\nmod tests {\n    use crate::a;\n}\n'), [])
  assert.deepEqual(found('#[cfg(test)]\nuse super::a;\npub(crate) struct B;'), [])
})
