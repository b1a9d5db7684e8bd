-- Counts what was on the wire, where dashcap keeps one frame for many: copies that came too fast are folded into one
-- frame with a comment that counts them, so Wireshark's own counts and graphs are too small there.
--
--   dashcap.frames  frames on the wire: SUM() of it in a graph, or in `tshark -z io,stat,1,"SUM(dashcap.frames)dashcap.frames"`
--   dashcap.bytes   their bytes
--   dashcap.copies  of a folded frame only: how many it stands for, itself included
--
-- What the host saw between the frames (journal entries) was on no wire and counts as none.

local dashcap = Proto("dashcap", "dashcap")
local frames = ProtoField.uint64("dashcap.frames", "Frames on the wire")
local bytes = ProtoField.uint64("dashcap.bytes", "Bytes on the wire")
local copies = ProtoField.uint64("dashcap.copies", "Copies that this frame stands for")
dashcap.fields = { frames, bytes, copies }

local comment = Field.new("frame.comment")
local entry = Field.new("systemd_journal.message")

-- The count in the comment on a folded frame; none on any other.
local function folded()
  for _, found in ipairs({ comment() }) do
    local count = tostring(found):match("^dashcap: folded; this frame came (%d+) times within ")
    if count then
      return count
    end
  end
end

function dashcap.dissector(_, packet, tree)
  if entry() then
    return
  end
  local count = folded()
  local number = UInt64(tonumber(count or 1))
  local shown = tree:add(dashcap, count and "dashcap, stands for " .. count .. " frames" or "dashcap")
  shown:add(frames, number):set_generated()
  shown:add(bytes, number * packet.len):set_generated()
  if count then
    shown:add(copies, number):set_generated()
  end
end

register_postdissector(dashcap)
