import Foundation

/// Logistic regression with a ridge penalty, fitted by Newton's method (iteratively reweighted least squares).
///
/// It finds the intercept b and coefficients β that minimise −Σ log p(yᵢ | xᵢ) + λ/2 Σ βⱼ² sⱼ², with sⱼ the standard
/// deviation of the feature j, so that the penalty doesn't depend on units; the intercept is not penalised. The standard
/// errors are those of the inverse of the second derivative there. Sources: le Cessie and van Houwelingen (1992), "Ridge
/// estimators in logistic regression"; Hastie, Tibshirani and Friedman, "The Elements of Statistical Learning", 4.4.
package struct LogisticRegression: Sendable {
    package let intercept: Double
    package let coefficients: [Double]
    package let standardErrors: [Double]
    /// Whether it came to rest; if not, the figures say nothing.
    package let hasConverged: Bool

    private static let mostSteps = 50
    private static let tolerance = 1e-9

    /// `features` has a row for each example; all rows are of one length.
    package init(features: [[Double]], labels: [Bool], penalty: Double) {
        let width = features.first?.count ?? 0
        let spread = Self.spread(features, width)
        // Of a feature that is the same for everybody nothing can be learned.
        let used = (0..<width).filter { spread.deviations[$0] > 1e-9 * max(1, abs(spread.means[$0])) }
        let rows = features.map { row in
            [1] + used.map { (row[$0] - spread.means[$0]) / spread.deviations[$0] }
        }
        let size = used.count + 1
        var beta = [Double](repeating: 0, count: size)
        var inverse: [[Double]]?
        var isDone = false
        var loss = Self.loss(rows, labels, beta, penalty)
        for _ in 0..<Self.mostSteps where !isDone {
            var gradient = [Double](repeating: 0, count: size)
            var curvature = [[Double]](repeating: [Double](repeating: 0, count: size), count: size)
            for (row, label) in zip(rows, labels) {
                let p = Self.probability(row, beta)
                let (residual, weight) = ((label ? 1 : 0) - p, p * (1 - p))
                for i in 0..<size where row[i] != 0 {
                    gradient[i] += residual * row[i]
                    for j in 0...i { curvature[i][j] += weight * row[i] * row[j] }
                }
            }
            for i in 1..<max(size, 1) {
                gradient[i] -= penalty * beta[i]
                curvature[i][i] += penalty
            }
            guard let inverted = SymmetricMatrix.inverse(ofLower: curvature) else { break }
            inverse = inverted
            let step = (0..<size).map { i in (0..<size).reduce(0) { $0 + inverted[i][$1] * gradient[$1] } }
            // A full step may overshoot where the classes are nearly separated; half of it then does not.
            var share = 1.0
            var next = zip(beta, step).map { $0 + $1 }
            var nextLoss = Self.loss(rows, labels, next, penalty)
            while nextLoss > loss, share > 1e-6 {
                share /= 2
                next = zip(beta, step).map { $0 + share * $1 }
                nextLoss = Self.loss(rows, labels, next, penalty)
            }
            isDone = zip(next, beta).allSatisfy { abs($0 - $1) < Self.tolerance } || nextLoss >= loss
            (beta, loss) = (next, min(loss, nextLoss))
        }
        var coefficients = [Double](repeating: 0, count: width)
        var errors = [Double](repeating: .infinity, count: width)
        var intercept = beta.first ?? 0
        for (place, feature) in used.enumerated() {
            coefficients[feature] = beta[place + 1] / spread.deviations[feature]
            intercept -= coefficients[feature] * spread.means[feature]
            if let inverse {
                errors[feature] =
                    max(0, inverse[place + 1][place + 1]).squareRoot() / spread.deviations[feature]
            }
        }
        self.intercept = intercept
        self.coefficients = coefficients
        standardErrors = errors
        hasConverged = isDone && inverse != nil
    }

    /// How likely it is by the model that somebody with these features converts.
    package func probability(of features: [Double]) -> Double {
        let sum = zip(coefficients, features).reduce(intercept) { $0 + $1.0 * $1.1 }
        return 1 / (1 + exp(-sum))
    }

    private static func probability(_ row: [Double], _ beta: [Double]) -> Double {
        1 / (1 + exp(-zip(row, beta).reduce(0) { $0 + $1.0 * $1.1 }))
    }

    private static func loss(
        _ rows: [[Double]], _ labels: [Bool], _ beta: [Double], _ penalty: Double
    ) -> Double {
        var loss = beta.dropFirst().reduce(0) { $0 + penalty / 2 * $1 * $1 }
        for (row, label) in zip(rows, labels) {
            let sum = zip(row, beta).reduce(0) { $0 + $1.0 * $1.1 }
            // log(1 + e^z), without overflow.
            loss += max(sum, 0) + log1p(exp(-abs(sum))) - (label ? sum : 0)
        }
        return loss
    }

    private static func spread(
        _ features: [[Double]], _ width: Int
    ) -> (means: [Double], deviations: [Double]) {
        let count = Double(max(features.count, 1))
        var means = [Double](repeating: 0, count: width)
        for row in features { for i in 0..<width { means[i] += row[i] / count } }
        var squares = [Double](repeating: 0, count: width)
        for row in features { for i in 0..<width { squares[i] += (row[i] - means[i]) * (row[i] - means[i]) } }
        return (means, squares.map { ($0 / count).squareRoot() })
    }
}

/// Inverts small symmetric matrices.
enum SymmetricMatrix {
    /// The inverse of a positive definite matrix of which the lower half is given, by its Cholesky decomposition; nil for
    /// one that is not.
    static func inverse(ofLower matrix: [[Double]]) -> [[Double]]? {
        let size = matrix.count
        var lower = matrix
        for i in 0..<size {
            for j in 0...i {
                var sum = matrix[i][j]
                for k in 0..<j { sum -= lower[i][k] * lower[j][k] }
                if i == j {
                    guard sum > 1e-12 else { return nil }
                    lower[i][i] = sum.squareRoot()
                } else {
                    lower[i][j] = sum / lower[j][j]
                }
            }
        }
        var inverse = [[Double]](repeating: [Double](repeating: 0, count: size), count: size)
        for column in 0..<size {
            var solution = [Double](repeating: 0, count: size)
            for i in 0..<size {
                var sum = i == column ? 1.0 : 0
                for k in 0..<i { sum -= lower[i][k] * solution[k] }
                solution[i] = sum / lower[i][i]
            }
            for i in (0..<size).reversed() {
                var sum = solution[i]
                for k in (i + 1)..<max(size, i + 1) { sum -= lower[k][i] * solution[k] }
                solution[i] = sum / lower[i][i]
            }
            for i in 0..<size { inverse[i][column] = solution[i] }
        }
        return inverse
    }
}
