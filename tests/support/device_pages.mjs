import { escape, sendPage } from './pages.mjs'

/**
 * The provider's pages for a user who signs in for another device (RFC 8628 3.3): entering the code and confirming it.
 */
export const devicePages = {
  userCodeInputSource(ctx, form, _out, error) {
    const body = `
      <h1>Sign in on a device</h1>
      <p class="lead">Type in what it shows.</p>
      ${error ? '<p class="error" role="alert">There is no such code, or it is over.</p>' : ''}
      ${form}
      <div class="buttons"><button form="op.deviceInputForm">Go on</button></div>`
    sendPage(ctx, { title: 'Sign in on a device', body })
  },

  userCodeConfirmSource(ctx, form, client, _device, userCode) {
    const body = `
      <h1>Is it this?</h1>
      <p class="lead"><strong>${escape(client.clientName ?? client.clientId)}</strong> on a device that shows
        <code>${escape(userCode)}</code></p>
      ${form}
      <div class="buttons">
        <button form="op.deviceConfirmForm" value="confirm">Yes</button>
        <button form="op.deviceConfirmForm" name="abort" value="yes" class="quiet">No</button>
      </div>`
    sendPage(ctx, { title: 'Sign in on a device', body })
  },

  successSource(ctx) {
    sendPage(ctx, {
      title: 'Signed in',
      body: '<h1>Done</h1><p class="lead">The device goes on by itself.</p>',
    })
  },
}
