"""The commands of on-call, each of which joins AWS and the on-call tool: apply, drill, replay, mute."""
