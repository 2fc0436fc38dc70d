import Models

/// Rules as text, both ways: `Condition.text` writes what this reads as the same rule.
///
///     rule      = both { "or" both }
///     both      = part { "and" part }
///     part      = "not" part | "(" rule ")" | "all of (" rule ")" | "any of (" rule ")" | condition
///     condition = did | absent | one-time | aggregate | distinct | ratio | trait | computed | context | known | age | score
///               | rfm | percentile | segment | stage
///
///     did       = "did" events [often] ["with the same" property] [window] [where]
///                 [ "and then no" events [where] "for" length [window]
///                 | { "then did" events ["within" length] [where] ["without" events [where]] }
///                   [ "and not did" events "within" length "after" [where] ] ["all" window] ]
///     absent    = "did not do" events [window] [where]
///     one-time  = ("first" | "last") events "was" ( window | "before" start
///                 | ("at least" | "less than") length "ago" | "between" length "and" length "ago"
///                 | count "calendar days ago in" zone ) [where]
///     aggregate = ("sum" | "average" | "minimum" | "maximum") "of" property "over" events range [window] [where]
///     distinct  = "distinct" property "over" events count "values" [window] [where]
///     ratio     = "ratio of" events [where] "to" events [where] "is" range [window] ["among at least" number]
///     trait     = "trait" property comparison
///     computed  = "computed trait" name comparison
///     context   = "context" property comparison
///     known     = "has identifier" name
///     age       = "age by" property count "years in" zone
///     score     = "score" name range
///     rfm       = "rfm" name ( "is" text | { ("recency" | "frequency" | "monetary") count } )
///     percentile = "percentile" name count
///     segment   = "in segment" name
///     stage     = "in stage" name
///
///     events    = ["page" | "screen" | "identify" | "group"] text { "or" text } | "any" ("event" | "page" | …)
///     often     = count "times"
///     count     = ("at least" | "at most" | "exactly") number | "between" number "and" number
///     range     = ("at least" | "at most" | "more than" | "less than" | "exactly") decimal
///                 | "between" decimal "and" decimal
///     window    = ("in" | "within") ( length | number "calendar days in" zone ) | "since" start
///     start     = time | date "in" zone
///     length    = number unit { number unit } | 90d | 1d12h      unit = days, hours, minutes, seconds, milliseconds
///     where     = "where" filter { "and" filter }
///     filter    = property comparison | "any" property "with (" filter { "and" filter } ")"
///     comparison = ("=" | "!=") value | ("<" | "<=" | ">" | ">=") (decimal | time) | ["not"] "in (" value { "," value } ")"
///                 | "contains" value | ("starts" | "ends") "with" text | "exists" | "does not exist"
///                 | "in the" ("last" | "next") length | "more than" length ("ago" | "ahead")
///                 followed by "ignoring case" where text is compared
///     property, name = a word, or anything `in backquotes`
///
/// Text is written in double quotes, escaped as in JSON; names that are words of the language in backquotes. White space
/// and line breaks make no difference.
package enum RuleText {
    /// The longest text, in bytes.
    package static let maxBytes = 1 << 20

    /// Reads a rule; throws all that is wrong with it.
    package static func read(_ text: String) throws(InvalidRuleText) -> Condition {
        let bytes = Array(text.utf8)
        guard bytes.count <= maxBytes else {
            throw InvalidRuleText(problems: [RuleToken.problem(0, "at most \(maxBytes) bytes", [])])
        }
        let node: RuleNode
        do {
            var parser = RuleTextParser(bytes, tokens: try RuleToken.tokens(of: bytes))
            node = try parser.whole()
        } catch { throw InvalidRuleText(problems: [error]) }
        do {
            return try RuleReader.read(written: node.json, at: RulePath())
        } catch {
            throw InvalidRuleText(
                problems: error.problems.map {
                    RuleToken.problem(node.offset(of: $0.path.components[...]), $0.expected, bytes)
                })
        }
    }
}
