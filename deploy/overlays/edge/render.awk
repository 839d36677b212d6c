# Fills in a template from the environment:   awk -f render.awk envoy.yaml
#
#   #% default NAME VALUE   what ${NAME} is where the environment doesn't say; VALUE may be empty
#   #% if NAME … #% end     kept where NAME isn't empty; `unless`: where it is
#   #% each NAME … #% end   once for each of the words in NAME; HOST:REST:GRPC gives ${HOST} …
#
# These lines are YAML's comments: the template is a YAML file, too. Blocks may be nested, but for
# those in an `each`.
BEGIN { kept = 1 }

/^ *#% / {
  if ($2 == "default") {
    if ($3 in ENVIRON && ENVIRON[$3] != "") value[$3] = ENVIRON[$3]
    else value[$3] = NF > 3 ? $4 : ""
  } else if ($2 == "end") {
    if (depth == 0) fail("an end without a beginning")
    if (kind[depth] == "each") repeat()
    kept = outer[depth--]
  } else if (collects) {
    fail("a block in an each")
  } else if ($2 == "if" || $2 == "unless" || $2 == "each") {
    if (!($3 in value)) fail("no default for " $3)
    outer[++depth] = kept
    kind[depth] = $2
    if ($2 == "each") { words = value[$3]; lines = 0; collects = 1 }
    else kept = kept && ((value[$3] != "") == ($2 == "if"))
  } else fail("unknown word " $2)
  next
}

collects { line[++lines] = $0; next }
kept { print filled($0) }

END { if (depth > 0 && !failed) fail("an end is missing") }

function repeat(   count, each, part, i, n) {
  collects = 0
  if (!kept) return
  count = split(words, each, /[ ,]+/)
  for (i = 1; i <= count; i++) {
    if (split(each[i], part, ":") != 3) fail("'" each[i] "' is not HOST:REST_PORT:GRPC_PORT")
    value["HOST"] = part[1]; value["REST"] = part[2]; value["GRPC"] = part[3]
    for (n = 1; n <= lines; n++) print filled(line[n])
  }
}

function filled(text,   done, name) {
  if (text ~ /^ *#/) return text
  done = ""
  while (match(text, /\$\{[A-Z_]+\}/)) {
    name = substr(text, RSTART + 2, RLENGTH - 3)
    if (!(name in value)) fail("no default for " name)
    done = done substr(text, 1, RSTART - 1) value[name]
    text = substr(text, RSTART + RLENGTH)
  }
  return done text
}

function fail(why) {
  failed = 1
  printf "%s:%d: %s\n", FILENAME, FNR, why >"/dev/stderr"
  exit 1
}
