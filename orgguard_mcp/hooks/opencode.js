// OrgGuard for opencode: every tool call is judged by `orgguard hook opencode` before it runs, and
// what a command has left in the working tree after it. Whatever fails here stops the call.
import { spawnSync } from "node:child_process"

const LIMIT = 60_000

function judge(event, tool, args, directory) {
  const payload = { hook_event_name: event, tool_name: tool, tool_input: args ?? {}, cwd: directory }
  const done = spawnSync("orgguard", ["hook", "opencode"], {
    cwd: directory,
    encoding: "utf8",
    input: JSON.stringify(payload),
    timeout: LIMIT,
  })
  if (done.status === 0) return ""
  return (done.stderr || "").trim() || "OrgGuard stopped this: `orgguard hook opencode` could not be run."
}

export const OrgGuard = async ({ directory }) => ({
  "tool.execute.before": async (input, output) => {
    const reason = judge("tool.execute.before", input.tool, output.args, directory)
    if (reason) throw new Error(reason)
  },
  "tool.execute.after": async (input, output) => {
    const reason = judge("tool.execute.after", input.tool, input.args, directory)
    if (reason) output.output = `${output.output ?? ""}\n\n${reason}`
  },
})
