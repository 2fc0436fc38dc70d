/// What a schema and its evaluation may cost.
enum SchemaLimits {
    /// How deep subschemas may nest in the text of a schema.
    static let depth = 32
    /// Subschemas of one schema, definitions and all.
    static let subschemas = 2000
    /// Values of an `enum`, names of a `required`.
    static let listed = 1000
    /// Unicode scalars of a `pattern`.
    static let patternLength = 500
    /// Instructions that a `pattern` may have once its repetitions are written out.
    static let patternProgram = 2000
    /// How deep groups may nest in a `pattern`.
    static let patternDepth = 32
    /// Mistakes that are reported of one schema.
    static let mistakes = 100
    /// Violations that are reported of one value.
    static let violations = 32
    /// How deep subschemas may apply one within the other to one value.
    static let evaluationDepth = 400
    /// Steps that one evaluation may take, about 40 ns each at most; one subschema on one value takes five. A
    /// usual event takes a few hundred.
    static let evaluationSteps = 1_000_000
}
