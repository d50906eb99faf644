"""What every door tells an agent to do next, in the same words."""

ASK = (
    "Call request_consent with the name, where it would go, a short excerpt and the purpose, then"
    " follow its answer."
)
ASK_AGAIN = "call request_consent again with the same arguments to get the answer."
REWORD = "Describe the change by the capability that it adds, not by who asked for it."
