/** Returns the anchors of the headings of a Markdown document, as GitHub writes them. Headings in code do not count. */
export const anchors = (text) =>
  [...text.replace(/^```.*?^```/gms, '').matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
    title
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  )
