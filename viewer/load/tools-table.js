// What the tools of coding agents mean, and under which keys their input stands. Read by `tools.js` here and by
// src/model/tools in the server: what follows the words that make this a module is strict JSON, so that there is one
// table and nothing has to be built from it.
//
// `tools`: each tool by OpenCode's name for it, with what it is called before people, its meaning, where it has one,
// and the names that others give it; names are in small letters. How a meaning is shown is a row in view/tools.js.
// `patcher`: the tool that is a program too, which a shell is given patches for.
// `servers`: MCP servers that are known where a name joins server and tool by one underscore, as OpenCode does.
// `fields`: the keys of an input, or of what a list in it holds, by what they say; the first that is there counts.
// `statuses`: the words for how far an entry of a todo list is.
// `shells`: programs that are given a script, and the flag that it stands behind.

// prettier-ignore
export default {
  "tools": {
    "bash": {
      "label": "Shell",
      "meaning": "run",
      "names": [
        "shell", "local_shell", "local_shell_call", "exec_command", "shell_command", "run_shell_command",
        "run_command", "execute_command"
      ]
    },
    "read": {
      "label": "Read",
      "meaning": "read",
      "names": ["read_file", "read_many_files", "view", "view_file", "view_image", "notebookread"]
    },
    "edit": {
      "label": "Edit",
      "meaning": "edit",
      "names": [
        "edit_file", "replace", "str_replace", "notebookedit", "str_replace_editor", "str_replace_based_edit_tool"
      ]
    },
    "multiedit": { "label": "Edit", "meaning": "edit", "names": ["multi_edit"] },
    "apply_patch": { "label": "Patch", "meaning": "edit", "names": ["patch", "applypatch"] },
    "write": { "label": "Write", "meaning": "write", "names": ["write_file", "create_file"] },
    "grep": {
      "label": "Grep",
      "meaning": "search",
      "names": ["grep_search", "search_file_content", "code_search", "ripgrep"]
    },
    "glob": { "label": "Glob", "meaning": "search", "names": ["find", "find_files"] },
    "list": { "label": "List", "meaning": "list", "names": ["ls", "list_files", "list_directory", "list_dir"] },
    "webfetch": { "label": "Fetch", "meaning": "fetch", "names": ["web_fetch", "fetch"] },
    "websearch": {
      "label": "Web search",
      "meaning": "fetch",
      "names": ["web_search", "web_search_call", "google_web_search", "codesearch"]
    },
    "todowrite": {
      "label": "Todo",
      "meaning": "todo",
      "names": ["todo_write", "write_todos", "update_plan", "todoread", "todo_read"]
    },
    "task": { "label": "Task", "meaning": "task", "names": ["agent", "spawn_agent"] },
    "question": {
      "label": "Question",
      "meaning": "question",
      "names": ["askuserquestion", "ask_user_question", "ask_user", "request_user_input"]
    },
    "plan": { "label": "Plan", "meaning": "plan", "names": ["exitplanmode", "exit_plan_mode"] },
    "skill": { "label": "Skill", "names": [] }
  },
  "patcher": "apply_patch",
  "servers": [
    "brutus", "chrome-devtools", "context7", "figma", "filesystem", "github", "gitlab", "linear", "notion",
    "playwright", "puppeteer", "sentry", "sequential-thinking", "serena", "slack", "supabase"
  ],
  "fields": {
    "command": ["command", "cmd"],
    "path": [
      "filePath", "file_path", "path", "absolute_path", "notebook_path", "dir_path", "directory", "paths", "file_paths",
      "file", "files"
    ],
    "before": ["oldString", "old_string", "old_str", "oldText", "old_text"],
    "after": ["newString", "new_string", "new_str", "newText", "new_text", "new_source"],
    "edits": ["edits"],
    "content": ["content", "contents", "file_text"],
    "patch": ["patchText", "patch_text", "patch", "input", "diff"],
    "pattern": ["pattern", "query", "regex"],
    "include": ["include", "glob", "file_type", "type"],
    "url": ["url", "uri"],
    "query": ["query", "queries", "search_query", "prompt"],
    "todos": ["todos", "plan", "items"],
    "entry": ["content", "step", "description", "text", "title", "subject"],
    "status": ["status", "state"],
    "done": ["completed", "done", "checked"],
    "description": ["description", "title", "subject"],
    "agent": ["subagent_type", "agent_type", "agent_name", "agent"],
    "prompt": ["prompt", "message", "task", "instructions"],
    "questions": ["questions"],
    "question": ["question", "prompt", "text"],
    "options": ["options", "choices"],
    "option": ["label", "name", "value"],
    "plan": ["plan"],
    "exit": ["exit", "exit_code", "exitCode"],
    "file": ["relativePath", "filePath", "file_path", "file", "path"],
    "unknown": ["title", "name", "skill", "subject", "query", "pattern", "command", "path", "url", "description"]
  },
  "statuses": {
    "completed": ["complete", "done", "finished"],
    "in_progress": ["inprogress", "active", "doing", "running"],
    "pending": ["todo", "open", "not_started"],
    "cancelled": ["canceled"]
  },
  "shells": {
    "names": ["bash", "sh", "zsh", "dash", "pwsh", "powershell", "powershell.exe"],
    "flags": ["-lc", "-c", "-ic", "-Command"]
  }
}
