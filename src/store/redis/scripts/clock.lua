-- The server's clock. Epochs and times are 13-digit integers: exact as Lua numbers, but written with %.0f, since tostring rounds
-- to 14 digits.
local function int(number)
  return string.format('%.0f', number)
end

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
