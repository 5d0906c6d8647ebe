// The list of documents is complete, and assistants get what the documents say.
import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { llms, section, skills, userDocuments } from '../../pkg/assistants.mjs'

const root = new URL('../../', import.meta.url)
const read = (path) => readFile(new URL(path, root), 'utf8')
const code = (text) => text.match(/^```.*?^```/gms)

test('docs/README.md lists every document', async () => {
  const index = await read('docs/README.md')
  const names = (await readdir(new URL('docs/', root))).filter((name) => /^(?!README).*\.md$/.test(name))
  assert.ok(names.length > 30)
  assert.deepEqual(
    names.filter((name) => !index.includes(`](${name})`)),
    [],
  )
})

test('the package has the documents for users only', async () => {
  const names = userDocuments(await read('docs/README.md'))
  assert.ok(names.length > 30 && names.includes('docs/edge-operate.md'))
  const ofTheProject = ['decisions', 'conformance', 'conformance-suite', 'supply-chain', 'README']
  assert.deepEqual(
    ofTheProject.filter((name) => names.includes(`docs/${name}.md`)),
    [],
  )
})

test('llms.txt links packaged documents only', () => {
  const index =
    '# D\n\nSee [all](../README.md).\n\n## A\n\n- [Edge](edge.md): x.\n- [Other](other.md): y.\n\n## B\n\n- [None](none.md): z.\n'
  const text = llms(index, ['README.md', 'docs/edge.md'])
  assert.match(text, /^# strongroom\n\n> /)
  assert.match(text, /See \[all\]\(README\.md\)\.\n\n## A\n\n- \[Edge\]\(docs\/edge\.md\): x\.\n$/)
})

test('each skill begins with its name, which is the name of its folder, and with a description', async () => {
  for (const [path, text] of Object.entries(skills(await read('README.md')))) {
    const [, name, description] = /^---\nname: ([\w-]+)\ndescription: (.{100,1000})\n---\n/.exec(text)
    assert.equal(path, `skills/${name}/SKILL.md`)
    // A colon and a space would make the value something else in YAML.
    assert.doesNotMatch(description, /: |^['"[{]/)
  }
})

test('the skill for a new app has the code of the README', async () => {
  const readme = await read('README.md')
  const text = skills(readme)['skills/add-strongroom/SKILL.md']
  const wanted = code(section(readme, 'Use it'))
  assert.ok(wanted.length > 3)
  assert.deepEqual(
    wanted.filter((block) => !text.includes(block)),
    [],
  )
})

test('a section that a text needs cannot vanish', () => {
  assert.throws(() => section('# A\n\n## B\n\nc\n', 'C'), /there is no section "C"/)
})
