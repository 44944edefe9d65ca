// Faults that the eye passes over, as a name that is nowhere or one that nobody uses. How code looks is prettier's.

import js from '@eslint/js'
import globals from 'globals'

// Made by a program, or for another one.
const NOT_OURS = ['**/node_modules/', '**/dist/', '**/*.min.js', 'target/', 'tests/load/peers/']

export default [
  { ignores: NOT_OURS },
  js.configs.recommended,
  {
    languageOptions: { globals: globals.browser },
    rules: {
      // Terminals' codes are read here.
      'no-control-regex': 'off',
      'no-empty': ['error', { allowEmptyCatch: true }],
      'no-unused-vars': ['error', { argsIgnorePattern: '^_+$', varsIgnorePattern: '^_+$', ignoreRestSiblings: true }],
    },
  },
  { files: ['tests/**', 'packaging/**'], languageOptions: { globals: globals.node } },
  { files: ['packaging/cloudflare/*.js'], languageOptions: { globals: { WebSocketPair: 'readonly' } } },
]
