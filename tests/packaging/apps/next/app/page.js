'use client'

import { useEffect } from 'react'
import { start } from './app.js'

export default function Page() {
  useEffect(() => void start(), [])
  return null
}
