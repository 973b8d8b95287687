(* InfoNCE's optimum with the typical prompt, and Bayes' rule, in every world of two classes.
   by_name, thresholds   At every background, InfoNCE's threshold has the sign of Bayes' threshold and at most its size.
   no_detail             If captions describe no detail, InfoNCE's optimum is a Bayes rule.
   more_detail           The more detail of the animal captions describe, the fewer animals a background overrules. *)
From Coq Require Import Reals Lra Psatz.
From Coquelicot Require Import Coquelicot.
Open Scope R_scope.

(* The normal density with mean m and variance v; and that of an image's and a caption's view of one latent. The views
   share the variance v, and each has one of its own, nI and nT. *)
Definition normal (m v x : R) : R := exp (- (x - m) ^ 2 / (2 * v)) / sqrt (2 * PI * v).
Definition views (m v nI nT x t : R) : R :=
  exp (- ((v + nT) * (x - m) ^ 2 - 2 * v * (x - m) * (t - m) + (v + nI) * (t - m) ^ 2)
         / (2 * ((v + nI) * (v + nT) - v ^ 2))) / (2 * PI * sqrt ((v + nI) * (v + nT) - v ^ 2)).

Lemma exp_le a b : a <= b -> exp a <= exp b.
Proof. intros [l | ->]; [apply Rlt_le, exp_increasing, l | apply Rle_refl]. Qed.

(* A function whose derivative is not negative rises. *)
Lemma rises (f f' : R -> R) u v : u <= v -> (forall x, u <= x <= v -> is_derive f x (f' x) /\ 0 <= f' x)
  -> f u <= f v.
Proof. intros [l | ->] H; [|lra].
  destruct (MVT_cor2 f f' u v l) as [c [E Hc]]; [intros; apply is_derive_Reals, H; assumption|].
  assert (0 <= f' c) by (apply H; lra). assert (0 <= f' c * (v - u)) by (apply Rmult_le_pos; lra). lra. Qed.

Lemma sinh_over_y q p : 0 <= q <= p -> p * (exp q - exp (- q)) <= q * (exp p - exp (- p)).
Proof. intros H.
  assert (odd : forall y, 0 <= y -> 0 <= exp y - exp (- y)) by (intros y Hy; enough (exp (- y) <= exp y) by lra;
    apply exp_le; lra).
  assert (slope : exp q - exp (- q) <= q * (exp q + exp (- q))).
  { assert (r := rises (fun y => y * (exp y
    + exp (- y)) - (exp y - exp (- y))) (fun y => y * (exp y - exp (- y))) 0 q).
    cbv beta in r. replace (- 0) with 0 in r by ring.
      enough (0 * (exp 0 + exp 0) - (exp 0 - exp 0) <= q * (exp q + exp (- q)) - (exp q - exp (- q))) by lra.
    apply r; [lra|]. intros x Hx. split; [auto_derive; [auto | ring]|]. apply Rmult_le_pos; [lra | apply odd; lra]. }
  assert (r := rises (fun y => q * (exp y - exp (- y)) - y * (exp q - exp (- q)))
    (fun y => q * (exp y + exp (- y)) - (exp q - exp (- q))) q p). cbv beta in r.
  enough (q * (exp q - exp (- q)) - q * (exp q - exp (- q))
    <= q * (exp p - exp (- p)) - p * (exp q - exp (- q))) by lra.
  apply r; [lra|]. intros x Hx. split; [auto_derive; [auto | ring]|].
  enough (q * (exp q + exp (- q)) <= q * (exp x + exp (- x))) by lra. apply Rmult_le_compat_l; [lra|].
  (* cosh rises *)
  assert (c := rises (fun y => exp y + exp (- y)) (fun y => exp y - exp (- y)) q x). cbv beta in c. apply c; [lra|].
  intros y Hy. split; [auto_derive; [auto | ring] | apply odd; lra]. Qed.

(* Views with the variances S and T that share s of them: what their log odds at x = z and -z lose as s grows. *)
Section Sharing.
Variables a z S T : R.
Hypothesis Ha : 0 < a.
Hypothesis Hz : 0 <= z.
Definition D s := S * T - s ^ 2.
Definition far s := 2 * (a * (a * (S - s)) / D s).
Definition near s := 2 * (a * (s * z) / D s).
Definition log_odds s := ln (1 - exp (near s - far s)) - ln (1 - exp (- (near s + far s))) - 2 * a * z * T / D s.
Definition slope s := let Y := exp (far s) in let W := exp (near s) in
  - (4 * a * z * s * T * ((Y - W) * (Y * W - 1)) + 2 * a * z * (S * T + s ^ 2) * (Y * (W ^ 2 + 1) - 2 * W)
     + 2 * a ^ 2 * (S * T + s ^ 2 - 2 * s * S) * (Y * (W ^ 2 - 1))) / (D s ^ 2 * ((Y - W) * (Y * W - 1))).

Lemma log_odds_slope s : 0 <= s -> s <= S -> s <= T -> 0 < D s -> near s < far s
  -> is_derive log_odds s (slope s) /\ slope s <= 0.
Proof. intros Hs HS HT HD Hnf.
  assert (Hn : 0 <= near s).
  { unfold near. apply Rmult_le_pos; [lra|]. apply Rdiv_le_0_compat; [|exact HD].
    apply Rmult_le_pos; [lra|]. apply Rmult_le_pos; lra. }
  assert (HW : 1 <= exp (near s)) by (rewrite <- exp_0; apply exp_le, Hn).
  assert (HY : exp (near s) < exp (far s)) by (apply exp_increasing, Hnf).
  assert (HYW : 1 < exp (far s) * exp (near s)) by nra.
  assert (E1 : exp (near s - far s) = exp (near s) / exp (far s)).
  { unfold Rminus. rewrite exp_plus, exp_Ropp. reflexivity. }
  assert (E2 : exp (- (near s + far s)) = / (exp (far s) * exp (near s))).
  { rewrite exp_Ropp, exp_plus, (Rmult_comm (exp (near s))). reflexivity. }
  split.
  - unfold log_odds, slope.
    assert (Hnear : is_derive near s (2 * a * z * (S * T + s ^ 2) / D s ^ 2)).
    { unfold near, D in *. auto_derive; [lra | field; lra]. }
    assert (Hfar : is_derive far s (- (2 * a ^ 2 * (S * T + s ^ 2 - 2 * s * S)) / D s ^ 2)).
    { unfold far, D in *. auto_derive; [lra | field; lra]. }
    assert (Hlast : is_derive (fun s => 2 * a * z * T / D s) s (4 * a * z * s * T / D s ^ 2)).
    { unfold D in *. auto_derive; [lra | field; lra]. }
    evar_last.
    { apply (is_derive_minus (fun s => ln (1 - exp (near s - far s)) - ln (1 - exp (- (near s + far s)))));
      [|exact Hlast].
      apply (is_derive_minus (fun s => ln (1 - exp (near s - far s)))).
      - apply (is_derive_comp (fun w => ln (1 - exp w)) (fun s => near s - far s)).
        + auto_derive; [|reflexivity]. rewrite E1. apply Rlt_0_minus. apply (Rmult_lt_reg_r (exp (far s)));
          [lra|]. field_simplify; lra.
        + apply (is_derive_minus near far); eassumption.
      - apply (is_derive_comp (fun w => ln (1 - exp (- w))) (fun s => near s + far s)).
        + auto_derive; [|reflexivity]. rewrite E2. apply Rlt_0_minus. rewrite <- Rinv_1. apply Rinv_lt_contravar; lra.
        + apply (is_derive_plus near far); eassumption. }
    unfold minus, plus, opp, scal. simpl. unfold mult. simpl. rewrite E1, E2.
    set (Y := exp (far s)) in *. set (W := exp (near s)) in *. field. repeat split; nra.
  - unfold slope. set (Y := exp (far s)) in *. set (W := exp (near s)) in *. cbv zeta.
    assert (Hden : 0 < D s ^ 2 * ((Y - W) * (Y * W - 1))).
    { apply Rmult_lt_0_compat; [apply pow_lt, HD | apply Rmult_lt_0_compat; lra]. }
    unfold Rdiv. rewrite <- Ropp_mult_distr_l. apply Rge_le, Ropp_0_le_ge_contravar. apply Rdiv_le_0_compat;
      [|exact Hden].
    assert (H1 : 0 <= (Y - W) * (Y * W - 1)) by (apply Rmult_le_pos; lra).
    assert (H2 : 0 <= Y * (W ^ 2 + 1) - 2 * W) by nra.
    assert (H3 : 0 <= Y * (W ^ 2 - 1)) by (apply Rmult_le_pos; nra).
    assert (Haz : 0 <= a * z) by (apply Rmult_le_pos; lra).
    (* Each term at least as much, with s^2 for s T and 2 s^2 for S T + s^2. *)
    assert (B1 : 4 * (a * z) * s ^ 2 * ((Y - W) * (Y * W - 1)) <= 4 * a * z * s * T * ((Y - W) * (Y * W - 1))).
    { apply Rmult_le_compat_r; [assumption|]. replace (4 * a * z * s * T) with (4 * (a * z) * (s * T)) by ring.
      apply Rmult_le_compat_l; nra. }
    assert (B2 : 4 * (a * z) * s ^ 2 * (Y * (W ^ 2 + 1) - 2 * W)
      <= 2 * a * z * (S * T + s ^ 2) * (Y * (W ^ 2 + 1) - 2 * W)).
    { apply Rmult_le_compat_r; [assumption|].
      replace (2 * a * z * (S * T + s ^ 2)) with (2 * (a * z) * (S * T + s ^ 2)) by ring.
      replace (4 * (a * z) * s ^ 2) with (2 * (a * z) * (s ^ 2 + s ^ 2)) by ring. apply Rmult_le_compat_l; nra. }
    assert (B3 : - (2 * a ^ 2 * (s * (S - s)) * (Y * (W ^ 2 - 1)))
      <= 2 * a ^ 2 * (S * T + s ^ 2 - 2 * s * S) * (Y * (W ^ 2 - 1))).
    { rewrite Ropp_mult_distr_l. apply Rmult_le_compat_r;
      [assumption|]. rewrite Ropp_mult_distr_r. apply Rmult_le_compat_l; nra. }
    (* sinh y / y rises, and near < far. *)
    assert (K := sinh_over_y (near s) (far s)). rewrite !exp_Ropp in K. fold Y W in K.
    assert (K' : far s * (Y * (W ^ 2 - 1)) <= near s * (W * (Y ^ 2 - 1))).
    { assert (Hp := K ltac:(lra)). apply (Rmult_le_compat_r (Y * W)) in Hp; [|nra].
      replace (far s * (W - / W) * (Y * W)) with (far s * (Y * (W ^ 2 - 1))) in Hp by (field; lra).
      replace (near s * (Y - / Y) * (Y * W)) with (near s * (W * (Y ^ 2 - 1))) in Hp by (field; lra). exact Hp. }
    assert (K2 : a ^ 2 * (S - s) * (Y * (W ^ 2 - 1)) <= a * (s * z) * (W * (Y ^ 2 - 1))).
    { apply (Rmult_le_compat_r (D s / 2)) in K'; [|lra]. unfold far, near in K'.
      replace (2 * (a * (a * (S - s)) / D s) * (Y * (W ^ 2 - 1)) * (D s / 2))
        with (a ^ 2 * (S - s) * (Y * (W ^ 2 - 1))) in K' by (field; lra).
      replace (2 * (a * (s * z) / D s) * (W * (Y ^ 2 - 1)) * (D s / 2))
        with (a * (s * z) * (W * (Y ^ 2 - 1))) in K' by (field; lra). exact K'. }
    apply (Rmult_le_compat_l s) in K2; [|assumption].
    assert (H4 : 0 <= s * (a * (s * z) * (W * (Y ^ 2 - 1)))).
    { apply Rmult_le_pos; [assumption|]. apply Rmult_le_pos; [|nra]. apply Rmult_le_pos;
      [lra|]. apply Rmult_le_pos; lra. }
    replace (4 * (a * z) * s ^ 2 * ((Y - W) * (Y * W - 1)))
      with (4 * (s * (a * (s * z) * (W * (Y ^ 2 - 1)))) - 4 * (a * z) * s ^ 2 * (Y * (W ^ 2 + 1) - 2 * W)) in B1
        by ring.
    replace (2 * a ^ 2 * (s * (S - s)) * (Y * (W ^ 2 - 1)))
      with (2 * (s * (a ^ 2 * (S - s) * (Y * (W ^ 2 - 1))))) in B3 by ring.
    lra. Qed.
End Sharing.

Section World.
Variables p_spu p_inv mu_inv mu_spu sigma_inv sigma_spu detail_inv detail_spu nu_image nu_text mention_inv mention_spu : R.
Hypothesis Hp : 1 / 2 <= p_spu <= 1.
Hypothesis Hi : 1 / 2 < p_inv <= 1.
Hypothesis Hmu : 0 < mu_inv /\ 0 < mu_spu.
Hypothesis Hnu : 0 <= nu_image /\ 0 <= nu_text.
Hypothesis Hdetail : 0 <= detail_inv <= 1 /\ 0 <= detail_spu <= 1.
Hypothesis Hmention : 0 < mention_inv <= 1 /\ 0 <= mention_spu <= 1.

(* How one view of a latent varies apart from the other: where captions leave detail out, and in the view's noise. *)
Definition alone (detail sigma nu : R) : R := (1 - detail) * sigma ^ 2 + nu.
Hypothesis Himage : 0 < alone detail_inv sigma_inv nu_image /\ 0 < alone detail_spu sigma_spu nu_image.
Hypothesis Hcaption : 0 < alone detail_inv sigma_inv nu_text /\ 0 < alone detail_spu sigma_spu nu_text.
(* A caption that omits a latent is noise there. *)
Hypothesis Htext : 0 < nu_text \/ mention_inv = 1 /\ mention_spu = 1.

(* One latent with mean m: its view in the image and in the caption, which mentions it with some probability. *)
Definition latent (mention m detail sigma x t : R) : R :=
  mention * views m (detail * sigma ^ 2) (alone detail sigma nu_image) (alone detail sigma nu_text) x t
  + (1 - mention) * (normal m (sigma ^ 2 + nu_image) x * normal 0 nu_text t).
Definition object (o x t : R) : R := latent mention_inv (o * mu_inv) detail_inv sigma_inv x t.
Definition background (a s u : R) : R := latent mention_spu (a * mu_spu) detail_spu sigma_spu s u.

(* Object and background agree with this probability, label and object with p_inv, label and background with p_spu. *)
Definition agree : R := p_spu * p_inv + (1 - p_spu) * (1 - p_inv).

(* The density of an image (x, s) and a caption (t, u): the sum over o, a = 1, -1. *)
Definition pair (x s t u : R) : R :=
  object 1 x t * (agree / 2 * background 1 s u + (1 - agree) / 2 * background (-1) s u)
  + object (-1) x t * ((1 - agree) / 2 * background 1 s u + agree / 2 * background (-1) s u).

(* InfoNCE's optimum compares density ratios.
  The typical looks (mu_inv, 0) and (-mu_inv, 0) are equally likely captions,
   so the pairs' densities decide. *)
Definition infonce (x s : R) : R := pair x s mu_inv 0 - pair x s (- mu_inv) 0.

(* Bayes' rule compares the densities of the image and each label, here where backgrounds match with probability p. *)
Definition animal (o x : R) : R := normal (o * mu_inv) (sigma_inv ^ 2 + nu_image) x.
Definition scene (a s : R) : R := normal (a * mu_spu) (sigma_spu ^ 2 + nu_image) s.
Definition ideal (p x s : R) : R :=
  (p_inv * animal 1 x + (1 - p_inv) * animal (-1) x) * (p * scene 1 s + (1 - p) * scene (-1) s)
  - ((1 - p_inv) * animal 1 x + p_inv * animal (-1) x) * ((1 - p) * scene 1 s + p * scene (-1) s).
Definition bayes (x s : R) : R := ideal p_spu x s.

Lemma normal_positive m v x : 0 < v -> 0 < normal m v x.
Proof. intros. unfold normal. apply Rdiv_lt_0_compat;
  [apply exp_pos|]. apply sqrt_lt_R0. generalize PI_RGT_0. nra. Qed.

Lemma normal_mirror m v x : normal (- m) v (- x) = normal m v x.
Proof. unfold normal. do 3 f_equal. ring. Qed.

Lemma exp_ratio a b z c : z = a + b -> exp z / c = exp a * (exp b / c).
Proof. intros ->. rewrite exp_plus. unfold Rdiv. ring. Qed.

Lemma normal_ratio m v x : 0 < v -> normal (- m) v x = exp (- (2 * m * x / v)) * normal m v x.
Proof. intros. apply exp_ratio. field. lra. Qed.

Lemma normal_nonnegative m v x : 0 <= v -> 0 <= normal m v x.
Proof. intros [l | <-]; [apply Rlt_le, normal_positive, l|]. unfold normal. rewrite !Rmult_0_r, sqrt_0. unfold Rdiv.
  rewrite Rinv_0. lra. Qed.

Lemma views_positive m v nI nT x t : 0 <= v -> 0 < nI -> 0 < nT -> 0 < views m v nI nT x t.
Proof. intros. unfold views. apply Rdiv_lt_0_compat; [apply exp_pos|].
  apply Rmult_lt_0_compat; [generalize PI_RGT_0; lra|]. apply sqrt_lt_R0.
  assert (0 < nI * nT) by (apply Rmult_lt_0_compat; lra). nra. Qed.

Lemma views_mirror m v nI nT x t : views (- m) v nI nT (- x) (- t) = views m v nI nT x t.
Proof. unfold views. do 4 f_equal. ring. Qed.

Lemma shared_nonnegative detail sigma : 0 <= detail -> 0 <= detail * sigma ^ 2.
Proof. intros. apply Rmult_le_pos; [assumption | apply pow2_ge_0]. Qed.

Lemma whole detail sigma : sigma ^ 2 + nu_image = detail * sigma ^ 2 + alone detail sigma nu_image.
Proof. unfold alone. ring. Qed.

Lemma varied : 0 < sigma_inv ^ 2 + nu_image.
Proof. rewrite (whole detail_inv). assert (0 <= detail_inv * sigma_inv ^ 2) by (apply shared_nonnegative;
  lra). lra. Qed.

(* What the background adds. *)
Lemma background_ratio s : 0 <= s -> 0 < background (-1) s 0 <= background 1 s 0 /\ 0 < scene (-1) s <= scene 1 s
  /\ background 1 s 0 * scene (-1) s <= scene 1 s * background (-1) s 0.
Proof. intros. unfold background, scene, latent.
  replace (-1 * mu_spu) with (- mu_spu) by ring. replace (1 * mu_spu) with mu_spu by ring.
  rewrite (whole detail_spu sigma_spu).
  set (v := detail_spu * sigma_spu ^ 2). assert (0 <= v) by (apply shared_nonnegative; lra).
  set (nI := alone detail_spu sigma_spu nu_image) in *. set (nT := alone detail_spu sigma_spu nu_text) in *.
  set (D := (v + nI) * (v + nT) - v ^ 2).
  assert (HnIT : 0 < nI * nT) by (apply Rmult_lt_0_compat; lra).
  assert (HD : 0 < D) by (unfold D; nra).
  set (W := views mu_spu v nI nT s 0). set (N := normal mu_spu (v + nI) s).
  assert (HW : 0 < W) by (apply views_positive; lra).
  assert (HN : 0 < N) by (apply normal_positive; lra).
  assert (EW : views (- mu_spu) v nI nT s 0 = exp (- (2 * mu_spu * s * nT / D)) * W).
  { apply exp_ratio. fold D. field. lra. }
  rewrite EW, normal_ratio by lra. fold N.
  set (e := exp (- (2 * mu_spu * s * nT / D))). set (f := exp (- (2 * mu_spu * s / (v + nI)))).
  assert (He : 0 < e) by apply exp_pos. assert (Hf : 0 < f) by apply exp_pos.
  assert (Hms : 0 <= 2 * mu_spu * s) by (apply Rmult_le_pos; lra).
  assert (He1 : e <= 1).
  { rewrite <- exp_0. apply exp_le.
    assert (0 <= 2 * mu_spu * s * nT / D) by (unfold Rdiv; apply Rmult_le_pos; [apply Rmult_le_pos;
      lra | apply Rlt_le, Rinv_0_lt_compat, HD]). lra. }
  assert (Hfe : f <= e).
  { apply exp_le. apply Ropp_le_contravar.
    apply (Rmult_le_reg_r (D * (v + nI))); [apply Rmult_lt_0_compat; lra|].
    replace (2 * mu_spu * s * nT / D * (D * (v + nI))) with (2 * mu_spu * s * (nT * (v + nI)))
      by (field; lra).
    replace (2 * mu_spu * s / (v + nI) * (D * (v + nI))) with (2 * mu_spu * s * D) by (field; lra).
    apply Rmult_le_compat_l; [lra|]. unfold D. nra. }
  set (c := normal 0 nu_text 0). destruct Hmention as [_ Hm].
  assert (Hc : 0 <= c /\ (0 < c \/ mention_spu = 1)).
  { split; [apply normal_nonnegative; lra|].
    destruct Htext as [l | [_ l]]; [left; apply normal_positive, l | right; exact l]. }
  assert (Hnc : 0 <= N * c) by (apply Rmult_le_pos; lra).
  assert (Hfn : f * N * c <= N * c).
  { replace (f * N * c) with (f * (N * c)) by ring. rewrite <- (Rmult_1_l (N * c)) at 2.
    apply Rmult_le_compat_r; lra. }
  assert (Hew : e * W <= W) by (rewrite <- (Rmult_1_l W) at 2; apply Rmult_le_compat_r; lra).
  assert (Hfc : 0 <= f * N * c) by (replace (f * N * c) with (f * (N * c)) by ring; apply Rmult_le_pos; lra).
  assert (HeW : 0 < e * W) by (apply Rmult_lt_0_compat; lra).
  repeat split.
  - destruct (Req_dec mention_spu 0) as [E | n].
    { rewrite E in *. destruct Hc as [_ [Hc | Hc]]; [|lra].
      assert (0 < f * N * c) by (apply Rmult_lt_0_compat; [apply Rmult_lt_0_compat|]; assumption). lra. }
    apply Rplus_lt_le_0_compat; [apply Rmult_lt_0_compat; lra | apply Rmult_le_pos; lra].
  - apply Rplus_le_compat; apply Rmult_le_compat_l; lra.
  - apply Rmult_lt_0_compat; lra.
  - rewrite <- (Rmult_1_l N) at 2. apply Rmult_le_compat_r; lra.
  - enough (0 <= mention_spu * (W * N * (e - f))) by nra.
    apply Rmult_le_pos; [lra|]. apply Rmult_le_pos; [|lra]. apply Rmult_le_pos; lra. Qed.

(* What the animal adds: the density ratio of the typical looks, of one object. *)
Definition look (x t : R) : R :=
  views mu_inv (detail_inv * sigma_inv ^ 2) (alone detail_inv sigma_inv nu_image) (alone detail_inv sigma_inv nu_text) x t.
Definition named (x : R) : R := look x mu_inv - look x (- mu_inv).

(* The densities' parts, with D, near and far of the variances that the views share. *)
Lemma named_parts z : let v := detail_inv * sigma_inv ^ 2 in let S := sigma_inv ^ 2 + nu_image in
  let T := sigma_inv ^ 2 + nu_text in 0 < D S T v /\ exists W, 0 < W
  /\ named z = W * (1 - exp (- (near mu_inv z S T v + far mu_inv S T v)))
  /\ named (- z) = exp (- (2 * mu_inv * z * T / D S T v)) * W * (1 - exp (near mu_inv z S T v - far mu_inv S T v)).
Proof. intros v S T. unfold named, look. assert (Hv : 0 <= v) by (apply shared_nonnegative; lra). fold v.
  assert (ES : S = v + alone detail_inv sigma_inv nu_image) by (unfold S, v; apply whole).
  assert (ET : T = v + alone detail_inv sigma_inv nu_text) by (unfold T, v, alone; ring).
  clearbody S T. revert ES ET.
  set (nI := alone detail_inv sigma_inv nu_image) in *. set (nT := alone detail_inv sigma_inv nu_text) in *.
    intros -> ->.
  unfold near, far, D. assert (HnIT : 0 < nI * nT) by (apply Rmult_lt_0_compat; lra).
  assert (HD : 0 < (v + nI) * (v + nT) - v ^ 2) by nra. split; [exact HD|].
  exists (views mu_inv v nI nT z mu_inv). split; [apply views_positive; lra|].
  assert (E : forall x, views mu_inv v nI nT x (- mu_inv)
    = exp (- (2 * mu_inv * (v * x + mu_inv * nI) / ((v + nI) * (v + nT) - v ^ 2))) * views mu_inv v nI nT x mu_inv).
  { intros. apply exp_ratio. field. lra. }
  assert (F : views mu_inv v nI nT (- z) mu_inv
    = exp (- (2 * mu_inv * z * (v + nT) / ((v + nI) * (v + nT) - v ^ 2))) * views mu_inv v nI nT z mu_inv).
  { apply exp_ratio. field. lra. }
  rewrite !E, F. split.
  - replace (- (2 * mu_inv * (v * z + mu_inv * nI) / ((v + nI) * (v + nT) - v ^ 2)))
      with (- (2 * (mu_inv * (v * z) / ((v + nI) * (v + nT) - v ^ 2))
        + 2 * (mu_inv * (mu_inv * (v + nI - v)) / ((v + nI) * (v + nT) - v ^ 2)))) by (field; lra). ring.
  - replace (- (2 * mu_inv * (v * - z + mu_inv * nI) / ((v + nI) * (v + nT) - v ^ 2)))
      with (2 * (mu_inv * (v * z) / ((v + nI) * (v + nT) - v ^ 2))
        - 2 * (mu_inv * (mu_inv * (v + nI - v)) / ((v + nI) * (v + nT) - v ^ 2))) by (field; lra). ring. Qed.

Lemma named_ratio z : 0 <= z -> 0 < named z
  /\ named (- z) <= exp (- (2 * mu_inv * z / (sigma_inv ^ 2 + nu_image))) * named z.
Proof. intros Hz. destruct (named_parts z) as [HD [W [HW [-> ->]]]].
  set (v := detail_inv * sigma_inv ^ 2) in *. assert (Hv : 0 <= v) by (apply shared_nonnegative; lra).
  assert (HS := whole detail_inv sigma_inv). fold v in HS.
  assert (HT : sigma_inv ^ 2 + nu_text = v + alone detail_inv sigma_inv nu_text) by (unfold v, alone; ring).
  set (S := sigma_inv ^ 2 + nu_image) in *. set (T := sigma_inv ^ 2 + nu_text) in *.
  set (q := exp (- (2 * mu_inv * z * T / D S T v))). set (r := exp (- (2 * mu_inv * z / S))).
  assert (Hmz : 0 <= 2 * mu_inv * z) by (apply Rmult_le_pos; lra).
  assert (Hq : 0 < q) by apply exp_pos.
  assert (Hqr : q <= r).
  { apply exp_le, Ropp_le_contravar. apply (Rmult_le_reg_r (D S T v * S)); [apply Rmult_lt_0_compat; lra|].
    replace (2 * mu_inv * z * T / D S T v * (D S T v * S)) with (2 * mu_inv * z * (S * T)) by (field; lra).
    replace (2 * mu_inv * z / S * (D S T v * S)) with (2 * mu_inv * z * D S T v) by (field; lra).
    apply Rmult_le_compat_l; [lra|]. unfold D. nra. }
  assert (Hn : 0 <= near mu_inv z S T v).
  { unfold near. apply Rmult_le_pos; [lra|]. apply Rdiv_le_0_compat; [|exact HD].
    apply Rmult_le_pos; [lra|]. apply Rmult_le_pos; lra. }
  assert (Hf : 0 < far mu_inv S T v).
  { unfold far. apply Rmult_lt_0_compat; [lra|]. apply Rdiv_lt_0_compat;
    [|exact HD]. repeat apply Rmult_lt_0_compat; lra. }
  set (e := exp (- (near mu_inv z S T v + far mu_inv S T v))).
    set (f := exp (near mu_inv z S T v - far mu_inv S T v)).
  assert (He : e < 1) by (rewrite <- exp_0; apply exp_increasing; lra).
  assert (Hef : e <= f) by (apply exp_le; lra).
  split; [nra|]. apply Rle_trans with (q * W * (1 - e)).
  - apply Rmult_le_compat_l; [nra | lra].
  - rewrite <- Rmult_assoc. apply Rmult_le_compat_r; [lra|]. apply Rmult_le_compat_r; lra. Qed.

(* Captions that omit the object cancel. *)
Lemma infonce_factors x s : infonce x s = mention_inv / 2 *
  (named x * (agree * background 1 s 0 + (1 - agree) * background (-1) s 0)
   - named (- x) * ((1 - agree) * background 1 s 0 + agree * background (-1) s 0)).
Proof. unfold infonce, pair, object, latent at 1 2 3 4, named, look.
  replace (-1 * mu_inv) with (- mu_inv) by ring. replace (1 * mu_inv) with mu_inv by ring.
  assert (Hn : normal 0 nu_text (- mu_inv) = normal 0 nu_text mu_inv).
  { rewrite <- (normal_mirror 0 nu_text mu_inv). f_equal. ring. }
  rewrite Hn.
  rewrite <- (views_mirror mu_inv _ _ _ (- x) mu_inv), <- (views_mirror mu_inv _ _ _ (- x) (- mu_inv)), !Ropp_involutive.
  field. Qed.

Lemma agree_at_least_half : 1 / 2 <= agree <= 1.
Proof. unfold agree. nra. Qed.

Lemma bayes_factors x s : exists c, 0 < c /\ bayes x s = c *
  (((2 * p_inv - 1) * (scene 1 s + scene (-1) s) + (2 * p_spu - 1) * (scene 1 s - scene (-1) s))
     * exp (2 * mu_inv * x / (sigma_inv ^ 2 + nu_image))
   - ((2 * p_inv - 1) * (scene 1 s + scene (-1) s) - (2 * p_spu - 1) * (scene 1 s - scene (-1) s))).
Proof. unfold bayes, ideal, animal.
  replace (-1 * mu_inv) with (- mu_inv) by ring. replace (1 * mu_inv) with mu_inv by ring.
  set (v := sigma_inv ^ 2 + nu_image). assert (Hv : 0 < v) by apply varied.
  assert (E : normal mu_inv v x = exp (2 * mu_inv * x / v) * normal (- mu_inv) v x).
  { rewrite <- (Ropp_involutive mu_inv) at 1. rewrite normal_ratio by assumption. do 2 f_equal. field. lra. }
  exists (normal (- mu_inv) v x / 2). split.
  - assert (0 < normal (- mu_inv) v x) by (apply normal_positive; assumption). lra.
  - rewrite E. field. Qed.

(* Where the background says s >= 0, InfoNCE needs no more of the animal's side than 0, and where it lets the background
   overrule the animal, so does Bayes' rule. *)
Theorem by_name s : 0 <= s -> (forall x, 0 < x -> 0 < infonce x s)
  /\ (forall x, x <= 0 -> 0 <= infonce x s -> 0 <= bayes x s).
Proof. intros Hs. destruct (background_ratio s Hs) as [[HB' HB] [[Hb' Hb] HBb]].
  assert (Hq := agree_at_least_half).
  set (v := sigma_inv ^ 2 + nu_image). assert (Hv : 0 < v) by apply varied.
  set (B := background 1 s 0) in *. set (B' := background (-1) s 0) in *.
  set (b := scene 1 s) in *. set (b' := scene (-1) s) in *. set (q := agree) in *.
  assert (HG' : 0 < (1 - q) * B + q * B') by nra.
  assert (HG : (1 - q) * B + q * B' <= q * B + (1 - q) * B') by nra.
  split; intros x Hx.
  - destruct (named_ratio x) as [Hh Hh']; [lra|]. fold v in Hh'. rewrite infonce_factors. fold B B' q.
    set (r := exp (- (2 * mu_inv * x / v))) in *.
    assert (Hr : 0 < r < 1).
    { split; [apply exp_pos|]. rewrite <- exp_0. apply exp_increasing.
      assert (0 < 2 * mu_inv * x / v) by (apply Rdiv_lt_0_compat; [apply Rmult_lt_0_compat; lra | assumption]). lra. }
    set (G := q * B + (1 - q) * B') in *. set (G' := (1 - q) * B + q * B') in *.
    apply Rmult_lt_0_compat; [lra|].
    assert (named (- x) * G' <= r * named x * G') by (apply Rmult_le_compat_r; lra).
    assert (r * named x * G' < named x * G') by (apply Rmult_lt_compat_r; [lra|]; nra).
    assert (named x * G' <= named x * G) by (apply Rmult_le_compat_l; lra). lra.
  - intros H. destruct (named_ratio (- x)) as [Hh Hh']; [lra|]. fold v in Hh'. rewrite infonce_factors in H.
    fold B B' q in H. rewrite Ropp_involutive in Hh'.
    destruct (bayes_factors x s) as [c [Hc ->]]. fold v b b'.
    replace (2 * mu_inv * x / v) with (- (2 * mu_inv * - x / v)) by (field; lra).
    set (r := exp (- (2 * mu_inv * - x / v))) in *. assert (Hr : 0 < r) by apply exp_pos.
    set (h := named (- x)) in *. set (h' := named x) in *.
    set (G := q * B + (1 - q) * B') in *. set (G' := (1 - q) * B + q * B') in *.
    assert (H0 : h * G' <= h' * G) by nra.
    assert (H1 : G' <= r * G).
    { apply (Rmult_le_reg_l h); [assumption|]. apply Rle_trans with (h' * G); [assumption|].
      replace (h * (r * G)) with (r * h * G) by ring. apply Rmult_le_compat_r; lra. }
    set (g := q * b + (1 - q) * b'). set (g' := (1 - q) * b + q * b').
    assert (H2 : G * g' <= g * G').
    { replace (g * G') with (G * g' + (2 * q - 1) * (b * B' - B * b')) by (unfold g, g', G, G'; ring).
      assert (0 <= (2 * q - 1) * (b * B' - B * b')) by (apply Rmult_le_pos; lra). lra. }
    assert (H3 : g' <= r * g).
    { apply (Rmult_le_reg_l G'); [assumption|]. apply Rle_trans with (r * (G * g')).
      - replace (r * (G * g')) with (r * G * g') by ring. apply Rmult_le_compat_r; [unfold g'; nra | assumption].
      - replace (G' * (r * g)) with (r * (g * G')) by ring. apply Rmult_le_compat_l; lra. }
    set (k := 2 * p_inv - 1). set (m := 2 * p_spu - 1).
    assert (Hqk : 2 * q - 1 = m * k) by (unfold q, agree, m, k; ring).
    assert (H4 : 0 <= m * k * ((1 + r) * (b - b')) - (1 - r) * (b + b')).
    { replace (m * k * ((1 + r) * (b - b')) - (1 - r) * (b + b')) with (2 * (r * g - g')) by
        (unfold g, g'; replace q with ((1 + m * k) / 2) by lra; field). lra. }
    assert (H5 : 0 <= m * ((1 + r) * (b - b')))
      by (apply Rmult_le_pos; [unfold m; lra | apply Rmult_le_pos; lra]).
    apply Rmult_le_pos; [lra|].
    assert (Hk : 0 < k <= 1) by (unfold k; lra).
    replace ((k * (b + b') + m * (b - b')) * r - (k * (b + b') - m * (b - b')))
      with (k * (m * k * ((1 + r) * (b - b')) - (1 - r) * (b + b')) + (1 - k ^ 2) * (m * ((1 + r) * (b - b'))))
        by ring.
    apply Rplus_le_le_0_compat; apply Rmult_le_pos; nra. Qed.

Lemma bayes_increasing x y s : 0 <= s -> bayes y s = 0 -> 0 <= bayes x s -> y <= x.
Proof. intros Hs Hy Hx. destruct (background_ratio s Hs) as [_ [[Hb' Hb] _]].
  set (v := sigma_inv ^ 2 + nu_image). assert (Hv : 0 < v) by apply varied.
  destruct (bayes_factors x s) as [c [Hc Ex]]. destruct (bayes_factors y s) as [d [Hd Ey]]. fold v in Ex, Ey.
  set (K := (2 * p_inv - 1) * (scene 1 s + scene (-1) s) + (2 * p_spu - 1) * (scene 1 s - scene (-1) s)) in *.
  set (L := (2 * p_inv - 1) * (scene 1 s + scene (-1) s) - (2 * p_spu - 1) * (scene 1 s - scene (-1) s)) in *.
  assert (HK : 0 < K).
  { apply Rplus_lt_le_0_compat; [apply Rmult_lt_0_compat; lra | apply Rmult_le_pos; lra]. }
  rewrite Ey in Hy. rewrite Ex in Hx. apply Rmult_integral in Hy. destruct Hy as [Hy | Hy]; [lra|].
  assert (Hx' : 0 <= K * exp (2 * mu_inv * x / v) - L) by (apply (Rmult_le_reg_l c); lra).
  destruct (Rle_lt_dec y x) as [l | l]; [assumption|]. exfalso.
  assert (exp (2 * mu_inv * x / v) < exp (2 * mu_inv * y / v)).
  { apply exp_increasing. unfold Rdiv. apply Rmult_lt_compat_r; [apply Rinv_0_lt_compat; assumption|].
    apply Rmult_lt_compat_l; lra. }
  assert (K * exp (2 * mu_inv * x / v) < K * exp (2 * mu_inv * y / v)) by (apply Rmult_lt_compat_l;
    assumption). lra. Qed.

Lemma infonce_mirror x s : infonce (- x) (- s) = - infonce x s.
Proof. rewrite !infonce_factors, Ropp_involutive.
  assert (E : forall a u, background a (- u) 0 = background (- a) u 0).
  { intros. unfold background, latent. replace (- a * mu_spu) with (- (a * mu_spu)) by ring.
    rewrite <- (views_mirror (a * mu_spu) _ _ _ (- u) 0), <- (normal_mirror (a * mu_spu) _ (- u)), Ropp_involutive.
    replace (- 0) with 0 by ring. reflexivity. }
  rewrite !E. replace (- -1) with 1 by ring. replace (Ropp 1) with (-1) by ring. field. Qed.

Lemma bayes_mirror x s : bayes (- x) (- s) = - bayes x s.
Proof. unfold bayes, ideal, animal, scene.
  rewrite <- (normal_mirror (1 * mu_inv)), <- (normal_mirror (-1 * mu_inv)), <- (normal_mirror (1 * mu_spu)),
    <- (normal_mirror (-1 * mu_spu)), !Ropp_involutive.
  replace (- (1 * mu_inv)) with (-1 * mu_inv) by ring. replace (- (-1 * mu_inv)) with (1 * mu_inv) by ring.
  replace (- (1 * mu_spu)) with (-1 * mu_spu) by ring. replace (- (-1 * mu_spu)) with (1 * mu_spu) by ring. ring. Qed.

(* At every background s, InfoNCE's threshold x has the sign of Bayes' threshold y and at most its size. *)
Theorem thresholds s x y : infonce x s = 0 -> bayes y s = 0 -> y <= x <= 0 \/ 0 <= x <= y.
Proof. intros Hx Hy.
  assert (H : forall s x y, 0 <= s -> infonce x s = 0 -> bayes y s = 0 -> y <= x <= 0).
  { intros s' x' y' Hs Hx' Hy'. destruct (by_name s' Hs) as [H0 H1].
    assert (x' <= 0) by (destruct (Rle_lt_dec x' 0) as [l | l]; [lra | apply H0 in l; lra]).
    split; [|assumption]. apply (bayes_increasing x' y' s' Hs Hy'). apply H1; lra. }
  destruct (Rle_lt_dec 0 s) as [l | l]; [left; apply (H s); assumption|right].
  enough (- y <= - x <= 0) by lra. apply (H (- s)); [lra| |].
  - rewrite infonce_mirror, Hx. ring.
  - rewrite bayes_mirror, Hy. ring. Qed.
(* Views that share nothing are independent. *)
Lemma views_apart m nI nT x t : 0 < nI -> 0 < nT -> views m 0 nI nT x t = normal m nI x * normal m nT t.
Proof. intros. unfold views, normal. assert (HPI := PI_RGT_0).
  replace ((0 + nI) * (0 + nT) - 0 ^ 2) with (nI * nT) by ring.
  assert (E : sqrt (2 * PI * nI) * sqrt (2 * PI * nT) = 2 * PI * sqrt (nI * nT)).
  { rewrite <- sqrt_mult_alt by nra. replace (2 * PI * nI * (2 * PI * nT)) with ((2 * PI) ^ 2 * (nI * nT)) by ring.
    rewrite sqrt_mult_alt, sqrt_pow2 by (try apply pow2_ge_0; lra). reflexivity. }
  assert (0 < sqrt (2 * PI * nI)) by (apply sqrt_lt_R0; nra).
  assert (0 < sqrt (2 * PI * nT)) by (apply sqrt_lt_R0; nra).
  rewrite <- E, (exp_ratio (- (x - m) ^ 2 / (2 * nI)) (- (t - m) ^ 2 / (2 * nT))) by (field; lra). field. lra. Qed.

(* Where captions tell no looks, InfoNCE's optimum is a positive number times Bayes' rule of this correlation, which is
   p_spu itself if every image shows its label's object. *)
Theorem no_detail : detail_inv = 0 -> detail_spu = 0 ->
  exists c, 0 < c /\ forall x s, infonce x s = c * ideal ((1 + (2 * p_spu - 1) * (2 * p_inv - 1) ^ 2) / 2) x s.
Proof. intros Ei Es. assert (HI := Himage). assert (HT := Hcaption). rewrite Ei, Es in HI, HT.
  set (nT := alone 0 sigma_inv nu_text) in *. set (nS := alone 0 sigma_spu nu_text) in *.
  assert (I0 : forall sigma, alone 0 sigma nu_image = sigma ^ 2 + nu_image) by (intros; unfold alone; ring).
  rewrite !I0 in HI.
  set (d := normal mu_inv nT mu_inv - normal mu_inv nT (- mu_inv)).
  assert (Hd : 0 < d).
  { unfold d. replace (normal mu_inv nT (- mu_inv)) with (normal (- mu_inv) nT mu_inv)
      by (rewrite <- (normal_mirror mu_inv nT (- mu_inv)); f_equal; ring).
    rewrite normal_ratio by lra. assert (0 < normal mu_inv nT mu_inv) by (apply normal_positive; lra).
    assert (exp (- (2 * mu_inv * mu_inv / nT)) < 1).
    { rewrite <- exp_0. apply exp_increasing.
      assert (0 < 2 * mu_inv * mu_inv / nT) by (apply Rdiv_lt_0_compat; [nra | lra]). lra. }
    nra. }
  set (b := mention_spu * normal mu_spu nS 0 + (1 - mention_spu) * normal 0 nu_text 0).
  assert (Hb : 0 < b).
  { assert (0 < normal mu_spu nS 0) by (apply normal_positive; lra).
    assert (0 <= normal 0 nu_text 0) by (apply normal_nonnegative; lra). unfold b.
    destruct Htext as [l | [_ ->]]; [|lra]. assert (0 < normal 0 nu_text 0) by (apply normal_positive, l).
    destruct (Req_dec mention_spu 0) as [E | n]; [rewrite E; lra|].
    apply Rplus_lt_le_0_compat; [apply Rmult_lt_0_compat; lra | apply Rmult_le_pos; lra]. }
  exists (mention_inv / 2 * d * b / (2 * p_inv - 1)). split.
  - apply Rdiv_lt_0_compat; [|lra]. apply Rmult_lt_0_compat; [|assumption]. apply Rmult_lt_0_compat; lra.
  - intros.
    assert (N : forall z, named z = normal mu_inv (sigma_inv ^ 2 + nu_image) z * d).
    { intros. unfold named, look. rewrite Ei, I0, Rmult_0_l. fold nT. rewrite !views_apart by lra. unfold d. ring. }
    assert (M : normal (- mu_spu) nS 0 = normal mu_spu nS 0)
      by (rewrite <- (normal_mirror mu_spu nS 0); f_equal; ring).
    assert (G : forall a, a = 1 \/ a = -1 -> background a s 0 = scene a s * b).
    { intros a Ha. unfold background, latent, scene. rewrite Es, I0, Rmult_0_l. fold nS. rewrite views_apart by lra.
      destruct Ha as [-> | ->]; [rewrite Rmult_1_l | replace (-1 * mu_spu) with (- mu_spu) by ring; rewrite M];
      unfold b; ring. }
    rewrite infonce_factors, !G by lra. rewrite !N. unfold ideal, animal, agree.
    replace (normal mu_inv (sigma_inv ^ 2 + nu_image) (- x)) with (normal (-1 * mu_inv) (sigma_inv ^ 2 + nu_image) x)
      by (rewrite <- (normal_mirror (-1 * mu_inv)); f_equal; ring).
    rewrite Rmult_1_l. field. lra. Qed.
End World.

(* The more of an animal's looks captions tell, the less InfoNCE lets a background overrule the animal. *)
Theorem more_detail p_spu p_inv mu_inv mu_spu sigma_inv sigma_spu little much detail_spu nu_image nu_text mention_inv mention_spu :
  1 / 2 <= p_spu <= 1 -> 1 / 2 < p_inv <= 1 -> 0 < mu_inv /\ 0 < mu_spu -> 0 <= nu_image /\ 0 <= nu_text ->
  0 <= little <= much /\ much <= 1 -> 0 <= detail_spu <= 1 -> 0 < mention_inv <= 1 /\ 0 <= mention_spu <= 1 ->
  0 < alone much sigma_inv nu_image /\ 0 < alone detail_spu sigma_spu nu_image ->
  0 < alone much sigma_inv nu_text /\ 0 < alone detail_spu sigma_spu nu_text ->
  0 < nu_text \/ mention_inv = 1 /\ mention_spu = 1 ->
  let rule detail := infonce p_spu p_inv mu_inv mu_spu sigma_inv sigma_spu detail detail_spu nu_image nu_text mention_inv mention_spu in
  forall x s, x <= 0 -> 0 <= s -> 0 <= rule much x s -> 0 <= rule little x s.
Proof. intros Hp Hi Hmu Hnu Hdetail Hspu Hmention Himage Hcaption Htext rule x s Hx Hs. unfold rule.
  assert (Hsigma := pow2_ge_0 sigma_inv).
  assert (less : forall nu, 0 < alone much sigma_inv nu -> 0 < alone little sigma_inv nu).
  { unfold alone. intros nu H. assert ((1 - much) * sigma_inv ^ 2 <= (1 - little) * sigma_inv ^ 2)
    by (apply Rmult_le_compat_r; lra). lra. }
  rewrite !infonce_factors. set (q := agree p_spu p_inv).
  set (B := background mu_spu sigma_spu detail_spu nu_image nu_text mention_spu 1 s 0).
  set (B' := background mu_spu sigma_spu detail_spu nu_image nu_text mention_spu (-1) s 0).
  assert (Hq : 1 / 2 <= q <= 1) by (apply (agree_at_least_half _ _ mention_inv mention_spu); lra).
  assert (HB : 0 < B' <= B) by (apply (background_ratio mu_inv mu_spu sigma_inv sigma_spu much detail_spu nu_image nu_text mention_inv mention_spu); lra).
  assert (HG' : 0 < (1 - q) * B + q * B') by nra. assert (HG : 0 < q * B + (1 - q) * B') by nra.
  set (G := q * B + (1 - q) * B') in *. set (G' := (1 - q) * B + q * B') in *. clearbody G G'.
  intros H. apply Rmult_le_pos; [lra|].
  assert (H' := Rmult_le_reg_l (mention_inv / 2) 0 _ ltac:(lra) ltac:(rewrite Rmult_0_r; exact H)). clear H.
  assert (Hz : 0 <= - x) by lra. rewrite <- (Ropp_involutive x) in H' |- * at 1. set (z := - x) in *.
  destruct (named_ratio mu_inv mu_spu sigma_inv sigma_spu much detail_spu nu_image nu_text)
    with (z := z) as [P2 _]; [lra..|].
  destruct (named_ratio mu_inv mu_spu sigma_inv sigma_spu little detail_spu nu_image nu_text) with (z := z) as [P1 _];
    [lra | lra | split; [apply less|]; apply Himage | split; [apply less|]; apply Hcaption | lra|].
  destruct (named_parts mu_inv sigma_inv sigma_spu much detail_spu nu_image nu_text) with (z := z)
    as [HD2 [W2 [HW2 [E2 F2]]]]; [lra..|].
  destruct (named_parts mu_inv sigma_inv sigma_spu little detail_spu nu_image nu_text) with (z := z)
    as [HD1 [W1 [HW1 [E1 F1]]]]; [lra | split; [apply less|]; apply Himage | split; [apply less|]; apply Hcaption|].
  set (v2 := much * sigma_inv ^ 2) in *. set (v1 := little * sigma_inv ^ 2) in *.
  set (S := sigma_inv ^ 2 + nu_image) in *. set (T := sigma_inv ^ 2 + nu_text) in *.
  assert (Hv : 0 <= v1 <= v2) by (split; [apply Rmult_le_pos | apply Rmult_le_compat_r]; lra).
  assert (Hv2 : v2 <= sigma_inv ^ 2) by (rewrite <- (Rmult_1_l (sigma_inv ^ 2)); apply Rmult_le_compat_r; lra).
  assert (HST : v2 <= S /\ v2 <= T) by (unfold S, T; lra).
  assert (N2 : 0 < named mu_inv sigma_inv much nu_image nu_text (- z)).
  { apply (Rmult_lt_reg_r G); [assumption|]. rewrite Rmult_0_l. rewrite Ropp_involutive in H'.
    assert (0 < named mu_inv sigma_inv much nu_image nu_text z * G') by (apply Rmult_lt_0_compat; assumption). lra. }
  assert (Hfar : forall v, 0 <= v <= v2 -> 0 < D S T v /\ near mu_inv z S T v < far mu_inv S T v).
  { intros v Hvv. assert (HD : 0 < D S T v) by (unfold D in *; nra). split; [exact HD|].
    assert (n2 : near mu_inv z S T v2 < far mu_inv S T v2).
    { destruct (Rlt_le_dec (near mu_inv z S T v2) (far mu_inv S T v2)) as [l | l]; [exact l | exfalso].
      assert (1 <= exp (near mu_inv z S T v2 - far mu_inv S T v2)) by (rewrite <- exp_0; apply exp_le; lra).
      rewrite F2 in N2. assert (Hq2 := exp_pos (- (2 * mu_inv * z * T / D S T v2))).
      assert (0 < exp (- (2 * mu_inv * z * T / D S T v2)) * W2) by (apply Rmult_lt_0_compat; assumption). nra. }
    unfold near, far, Rdiv in *.
    assert (m2 : v2 * z < mu_inv * (S - v2)).
    { apply (Rmult_lt_reg_l (2 * (mu_inv * / D S T v2))); [apply Rmult_lt_0_compat; [lra|];
        apply Rmult_lt_0_compat; [lra | apply Rinv_0_lt_compat; assumption]|]. lra. }
    assert (v * z <= v2 * z) by (apply Rmult_le_compat_r; lra).
    assert (mu_inv * (S - v2) <= mu_inv * (S - v)) by (apply Rmult_le_compat_l; lra).
    apply Rmult_lt_compat_l; [lra|]. apply Rmult_lt_compat_r;
      [apply Rinv_0_lt_compat, HD|]. apply Rmult_lt_compat_l; lra. }
  assert (L : log_odds mu_inv z S T v2 <= log_odds mu_inv z S T v1).
  { enough (- log_odds mu_inv z S T v1 <= - log_odds mu_inv z S T v2) by lra.
    apply (rises (fun v => - log_odds mu_inv z S T v) (fun v => - slope mu_inv z S T v)); [lra|].
    intros v Hvv. destruct (Hfar v) as [HD Hn]; [lra|].
    destruct (log_odds_slope mu_inv z S T (proj1 Hmu) Hz v) as [d l]; [lra..|]. split; [|lra].
    apply (is_derive_opp (log_odds mu_inv z S T)), d. }
  assert (odds : forall v W x y, 0 < W -> 0 < D S T v -> near mu_inv z S T v < far mu_inv S T v -> 0 < x
    -> x = W * (1 - exp (- (near mu_inv z S T v + far mu_inv S T v)))
    -> y = exp (- (2 * mu_inv * z * T / D S T v)) * W * (1 - exp (near mu_inv z S T v - far mu_inv S T v))
    -> y = exp (log_odds mu_inv z S T v) * x).
  { intros v W y y' HW HD Hn Hy E F. unfold log_odds.
    assert (e1 : 0 < 1 - exp (near mu_inv z S T v - far mu_inv S T v))
      by (apply Rlt_0_minus; rewrite <- exp_0; apply exp_increasing; lra).
    assert (e2 : 0 < 1 - exp (- (near mu_inv z S T v + far mu_inv S T v))) by (apply (Rmult_lt_reg_l W); lra).
    rewrite F, E. set (f := 1 - exp (near mu_inv z S T v - far mu_inv S T v)) in *.
    set (e := 1 - exp (- (near mu_inv z S T v + far mu_inv S T v))) in *. set (w := 2 * mu_inv * z * T / D S T v).
    replace (ln f - ln e - w) with (ln f + (- ln e + - w)) by ring.
    rewrite !exp_plus, (exp_Ropp (ln e)), !exp_ln by assumption. field. lra. }
  assert (O2 := odds v2 W2 _ _ HW2 HD2 (proj2 (Hfar v2 ltac:(lra))) P2 E2 F2).
  assert (O1 := odds v1 W1 _ _ HW1 HD1 (proj2 (Hfar v1 ltac:(lra))) P1 E1 F1).
  apply exp_le in L. rewrite O1. rewrite Ropp_involutive, O2 in H'.
  set (r1 := exp (log_odds mu_inv z S T v1)) in *. set (r2 := exp (log_odds mu_inv z S T v2)) in *.
  set (h1 := named mu_inv sigma_inv little nu_image nu_text z) in *.
  set (h2 := named mu_inv sigma_inv much nu_image nu_text z) in *.
  assert (G' <= r2 * G) by (apply (Rmult_le_reg_l h2); lra).
  assert (r2 * G <= r1 * G) by (apply Rmult_le_compat_r; lra).
  replace (r1 * h1 * G - h1 * G') with (h1 * (r1 * G - G')) by ring. apply Rmult_le_pos; lra. Qed.

(* The axioms beneath each theorem. *)
Print Assumptions by_name.
Print Assumptions thresholds.
Print Assumptions no_detail.
Print Assumptions more_detail.
