export default function NotFound() {
  return <p>The app does not know this</p>
}
