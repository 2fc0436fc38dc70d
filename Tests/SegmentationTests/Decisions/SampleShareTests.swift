import Testing

@testable import SegmentationDomain

@Suite("What a sample says of all")
struct SampleShareTests {
    @Test("the bounds are those of Wilson, also near none and all")
    func bounds() {
        // Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
        let published: [(Int, Int, Double, Double)] = [
            (81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611), (1, 29, 0.0061, 0.1718),
        ]
        for (count, examined, low, high) in published {
            let bounds = SampleShare(count: count, examined: examined).bounds
            #expect(abs(bounds.lowerBound - low) < 0.00006, "\(count) of \(examined)")
            #expect(abs(bounds.upperBound - high) < 0.00006, "\(count) of \(examined)")
        }
        #expect(SampleShare(count: 0, examined: 0).bounds == 0...1)
    }

    @Test("where everybody was examined nothing is estimated, and no bound is below what was counted")
    func people() {
        #expect(SampleShare(count: 7, examined: 20).people(of: 20) == (7, 7, 7))
        let (estimate, low, high) = SampleShare(count: 1, examined: 1_000).people(of: 1_001)
        #expect(estimate == 1 && low == 1 && high >= 1)
        #expect(SampleShare(count: 500, examined: 1_000).people(of: 1_000_000).estimate == 500_000)
    }
}
